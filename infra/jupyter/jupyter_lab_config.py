"""JupyterLab for the course: token on, no news; `course lab` adds the address and the notebook to open."""

c = get_config()  # type: ignore[name-defined]  # noqa: F821

c.ServerApp.open_browser = False
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
# The defaults (1 MB/s, 1000 messages/s) are for printed output; a first full picture of several plots is more.
c.ZMQChannelsWebsocketConnection.iopub_data_rate_limit = 50_000_000
c.ZMQChannelsWebsocketConnection.iopub_msg_rate_limit = 5_000
