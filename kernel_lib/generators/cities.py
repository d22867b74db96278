"""Own the cities that users live in: name, country, position, inhabitants.

Positions are city centres in degrees (WGS 84), rounded to 0.01; inhabitants in thousands, rounded, from
national censuses and the United Nations' World Urbanization Prospects 2018.

    >>> CITIES[0].name
    'Berlin'
"""

from __future__ import annotations

from typing import NamedTuple


class City(NamedTuple):
    """A city; `thousands` of inhabitants."""

    name: str
    country: str
    lat: float
    lon: float
    thousands: int


CITIES = (
    City("Berlin", "DE", 52.52, 13.40, 3_650),
    City("Hamburg", "DE", 53.55, 9.99, 1_850),
    City("Munich", "DE", 48.14, 11.58, 1_490),
    City("Vienna", "AT", 48.21, 16.37, 1_900),
    City("Zurich", "CH", 47.37, 8.54, 430),
    City("Paris", "FR", 48.86, 2.35, 2_160),
    City("Lyon", "FR", 45.76, 4.84, 520),
    City("Marseille", "FR", 43.30, 5.37, 870),
    City("London", "GB", 51.51, -0.13, 8_900),
    City("Manchester", "GB", 53.48, -2.24, 550),
    City("Dublin", "IE", 53.35, -6.26, 590),
    City("Madrid", "ES", 40.42, -3.70, 3_280),
    City("Barcelona", "ES", 41.39, 2.17, 1_640),
    City("Lisbon", "PT", 38.72, -9.14, 545),
    City("Rome", "IT", 41.90, 12.50, 2_810),
    City("Milan", "IT", 45.46, 9.19, 1_370),
    City("Amsterdam", "NL", 52.37, 4.90, 870),
    City("Brussels", "BE", 50.85, 4.35, 1_210),
    City("Copenhagen", "DK", 55.68, 12.57, 640),
    City("Stockholm", "SE", 59.33, 18.07, 975),
    City("Oslo", "NO", 59.91, 10.75, 700),
    City("Helsinki", "FI", 60.17, 24.94, 655),
    City("Warsaw", "PL", 52.23, 21.01, 1_860),
    City("Prague", "CZ", 50.08, 14.44, 1_340),
    City("Budapest", "HU", 47.50, 19.04, 1_720),
    City("Athens", "GR", 37.98, 23.73, 660),
    City("Istanbul", "TR", 41.01, 28.98, 15_460),
    City("Cairo", "EG", 30.04, 31.24, 9_540),
    City("Lagos", "NG", 6.52, 3.38, 13_460),
    City("Nairobi", "KE", -1.29, 36.82, 4_400),
    City("Johannesburg", "ZA", -26.20, 28.05, 5_635),
    City("Dubai", "AE", 25.20, 55.27, 3_410),
    City("Mumbai", "IN", 19.08, 72.88, 12_480),
    City("Delhi", "IN", 28.61, 77.21, 16_790),
    City("Bangalore", "IN", 12.97, 77.59, 8_440),
    City("Singapore", "SG", 1.35, 103.82, 5_690),
    City("Jakarta", "ID", -6.21, 106.85, 10_560),
    City("Bangkok", "TH", 13.76, 100.50, 10_540),
    City("Hong Kong", "HK", 22.32, 114.17, 7_480),
    City("Shanghai", "CN", 31.23, 121.47, 24_870),
    City("Seoul", "KR", 37.57, 126.98, 9_670),
    City("Tokyo", "JP", 35.68, 139.69, 13_960),
    City("Osaka", "JP", 34.69, 135.50, 2_750),
    City("Sydney", "AU", -33.87, 151.21, 5_310),
    City("Melbourne", "AU", -37.81, 144.96, 5_080),
    City("Auckland", "NZ", -36.85, 174.76, 1_660),
    City("New York", "US", 40.71, -74.01, 8_800),
    City("Chicago", "US", 41.88, -87.63, 2_750),
    City("San Francisco", "US", 37.77, -122.42, 870),
    City("Los Angeles", "US", 34.05, -118.24, 3_900),
    City("Seattle", "US", 47.61, -122.33, 740),
    City("Austin", "US", 30.27, -97.74, 960),
    City("Toronto", "CA", 43.65, -79.38, 2_790),
    City("Montreal", "CA", 45.50, -73.57, 1_760),
    City("Mexico City", "MX", 19.43, -99.13, 9_210),
    City("Bogota", "CO", 4.71, -74.07, 7_410),
    City("Lima", "PE", -12.05, -77.04, 9_750),
    City("Santiago", "CL", -33.45, -70.67, 6_160),
    City("Buenos Aires", "AR", -34.60, -58.38, 3_080),
    City("Sao Paulo", "BR", -23.55, -46.63, 12_330),
)
