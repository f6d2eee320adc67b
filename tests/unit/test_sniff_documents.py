"""JSON as services and devices send it: what is proposed for it reads all of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from test_sniff import proposed, read

HOURS = [f"2024-05-01T{hour:02}:00:00Z" for hour in range(6)]
EPOCHS = [1714521600 + 3600 * hour for hour in range(6)]
TH = {"temperature": 6, "humidity": 6}


def lines(*documents: Any) -> str:
    return "".join(json.dumps(document) + "\n" for document in documents)


def quantities(hour: int) -> list[dict[str, Any]]:
    return [
        {"name": "temperature", "val": 20 + hour / 4, "unit": "degC"},
        {"name": "humidity", "val": 40 + hour, "unit": "%"},
    ]


def nested(of: str, hour: int) -> dict[str, Any]:
    return {
        "device": {"id": of, "model": "X1"},
        "ts": HOURS[hour],
        "measurements": {
            "temperature": {"value": 21.5 + hour, "unit": "degC"},
            "humidity": {"value": 40 + hour, "unit": "%"},
        },
    }


def feature(name: str, hour: int, **members: Any) -> dict[str, Any]:
    point = {"type": "Point", "coordinates": [-122.5, 37.75, 3.1]}
    return {"type": "Feature", "id": f"{name}{hour}", "geometry": point, "properties": members}


def nws(hour: int) -> dict[str, Any]:
    def quantity(unit: str, value: float | None) -> dict[str, Any]:
        return {"unitCode": f"wmoUnit:{unit}", "value": value, "qualityControl": "V"}

    return feature(
        "https://api.example/obs/",
        hour,
        station="https://api.example/stations/KSFO",
        timestamp=HOURS[hour],
        textDescription="Clear",
        temperature=quantity("degC", 12.5 + hour),
        relativeHumidity=quantity("percent", 70 + hour),
        windGust=quantity("km_h-1", None),
    )


def ttn2(hour: int) -> dict[str, Any]:
    return {
        "app_id": "farm",
        "dev_id": "node-7",
        "hardware_serial": "00A1",
        "port": 2,
        "counter": hour,
        "payload_raw": "AQI=",
        "payload_fields": {"temperature": 20.5 + hour, "humidity": 40.5},
        "metadata": {
            "time": HOURS[hour],
            "frequency": 868.1,
            "gateways": [{"gtw_id": "gw-1", "rssi": -50, "snr": 9.5}],
        },
    }


def chirpstack(hour: int) -> dict[str, Any]:
    return {
        "deduplicationId": f"3ac7e3c4-{hour}",
        "time": HOURS[hour],
        "deviceInfo": {"tenantId": "t", "deviceName": "node 7", "devEui": "0101010101010101"},
        "fCnt": hour,
        "fPort": 2,
        "object": {"temperature": 20.5 + hour, "humidity": 40.5},
        "rxInfo": [{"gatewayId": "gw1", "rssi": -50, "snr": 9.5}],
    }


def zigbee(hour: int) -> dict[str, Any]:
    return {
        "battery": 97,
        "humidity": 40.5 + hour,
        "linkquality": 120 + hour,
        "temperature": 21.25 + hour,
        "last_seen": HOURS[hour],
    }


def tasmota(hour: int) -> dict[str, Any]:
    return {
        "Time": HOURS[hour][:-1],
        "ENERGY": {"TotalStartTime": "2023-01-01T00:00:00", "Total": 10.5 + hour, "Power": 40},
    }


def thing(hour: int) -> dict[str, Any]:
    return {
        "@iot.id": 100 + hour,
        "phenomenonTime": HOURS[hour],
        "resultTime": HOURS[hour],
        "result": 12.5 + hour,
        "Datastream": {
            "@iot.id": 7,
            "name": "Air temperature at roof",
            "unitOfMeasurement": {"name": "degree Celsius", "symbol": "degC"},
        },
    }


def openaq(hour: int, parameter: str) -> dict[str, Any]:
    return {
        "locationId": 8118,
        "location": "New Delhi",
        "parameter": parameter,
        "value": 12.5 + hour,
        "date": {"utc": HOURS[hour], "local": HOURS[hour][:-1] + "+05:30"},
        "unit": "µg/m³" if parameter == "pm25" else "ppm",
        "coordinates": {"latitude": 28.63, "longitude": 77.22},
    }


def purpleair() -> dict[str, Any]:
    return {
        "api_version": "V1.0.11",
        "time_stamp": EPOCHS[-1],
        "sensor_index": 131075,
        "fields": ["time_stamp", "humidity", "temperature"],
        "data": [[t, 30 + i, 60.5 + i] for i, t in enumerate(EPOCHS)],
    }


def influx() -> dict[str, Any]:
    series = [
        {
            "name": "weather",
            "tags": {"host": host},
            "columns": ["time", "temperature", "humidity"],
            "values": [[t, 20.5 + i, 40] for i, t in enumerate(HOURS[:3])],
        }
        for host in ("a", "b")
    ]
    return {"results": [{"statement_id": 0, "series": series}]}


def prometheus() -> dict[str, Any]:
    def one(name: str, instance: str) -> dict[str, Any]:
        metric = {"__name__": name, "instance": instance, "job": "weather"}
        values = [[t, str(20.5 + i)] for i, t in enumerate(EPOCHS[:3])]
        return {"metric": metric, "values": values}

    pairs = [(n, i) for n in ("temperature", "humidity") for i in ("a:9100", "b:9100")]
    result = [one(*pair) for pair in pairs]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def instant() -> dict[str, Any]:
    document = prometheus()
    for one in document["data"]["result"]:
        one["value"] = one.pop("values")[0]
    return document


def coops() -> dict[str, Any]:
    place = {"id": "9414290", "name": "San Francisco", "lat": "37.8063", "lon": "-122.4659"}
    data = [
        {
            "t": t[:16].replace("T", " "),
            "v": f"{1 + i / 8:.3f}",
            "s": "0.012",
            "f": "0,0,0,0",
            "q": "p",
        }
        for i, t in enumerate(HOURS)
    ]
    return {"metadata": place, "data": data}


def openmeteo() -> dict[str, Any]:
    return {
        "latitude": 52.52,
        "longitude": 13.419,
        "generationtime_ms": 0.2,
        "utc_offset_seconds": 0,
        "timezone": "GMT",
        "elevation": 38.0,
        "hourly_units": {"time": "iso8601", "temperature_2m": "°C", "rain": "mm"},
        "hourly": {
            "time": [t[:16] for t in HOURS],
            "temperature_2m": [10.5 + i for i in range(6)],
            "rain": [0.0, 0.1, None, 0.0, 0.0, 0.3],
        },
    }


def smhi() -> dict[str, Any]:
    return {
        "value": [{"date": 1000 * t, "value": f"{5.5 + i}", "quality": "G"} for i, t in enumerate(EPOCHS)],
        "updated": 1000 * EPOCHS[-1],
        "parameter": {"key": "1", "name": "Lufttemperatur", "unit": "degree celsius"},
        "station": {"key": "98210", "name": "Stockholm", "owner": "SMHI", "height": 2.0},
        "period": {"key": "latest-day", "from": 1000 * EPOCHS[0], "to": 1000 * EPOCHS[-1]},
    }  # fmt: skip


def erddap() -> dict[str, Any]:
    return {
        "table": {
            "columnNames": ["station", "time", "wtmp", "wvht"],
            "columnTypes": ["String", "String", "float", "float"],
            "columnUnits": [None, "UTC", "degree_C", "m"],
            "rows": [
                [s, t, 10.5 + i, 2.25] for i, t in enumerate(HOURS) for s in ("41001", "41002")
            ],
        }
    }


def usgs_ogc(hour: int) -> dict[str, Any]:
    return feature(
        "f",
        hour,
        time_series_id="0b1ce3b8a5a94a9fa0d05ad6e4ff3c8a",
        monitoring_location_id="USGS-01491000",
        parameter_code="00060" if hour % 2 else "00065",
        statistic_id="00011",
        time=HOURS[hour // 2],
        value=f"{120.5 + hour}",
        unit_of_measure="ft^3/s" if hour % 2 else "ft",
        approval_status="Provisional",
        qualifier=None,
    )


KINDS: dict[str, tuple[str, int, int, dict[str, int]]] = {
    "maps of value and unit, line by line": (
        lines(*(nested(of, h) for h in range(6) for of in "AB")),
        24, 2, {"temperature": 12, "humidity": 12}),
    "a map of one quantity": (
        lines({"device": {"id": "A"}, "ts": HOURS[0],
               "measurements": {"temperature": {"value": 21.5, "unit": "degC"}}}),
        1, 1, {"temperature": 1}),
    "a gateway's list of readings": (
        lines(*({"meta": {"deviceId": of, "gateway": "gw-1"},
                 "payload": {"ts": EPOCHS[h], "readings": quantities(h)}}
                for h in range(6) for of in ("d1", "d2"))),
        24, 2, {"temperature": 12, "humidity": 12}),
    "the same as one document": (
        json.dumps({"meta": {"deviceId": "d1"}, "payload": {"ts": EPOCHS[0], "readings": quantities(0)}},
                   indent=1),
        2, 1, {"temperature": 1, "humidity": 1}),
    "maps of quantities in a list": (
        json.dumps({"station": "roof", "data": [{"ts": t, "values": {"temperature": 20.5, "humidity": i}}
                                                for i, t in enumerate(HOURS)]}),
        12, 1, TH),
    "columns": (
        json.dumps({"time": HOURS, "temperature": list(range(6)), "humidity": [40.5] * 6}),
        12, 1, TH),
    "Open-Meteo": (json.dumps(openmeteo()), 11, 1, {"temperature_2m": 6, "rain": 5}),
    "earthquakes": (
        json.dumps({"type": "FeatureCollection", "metadata": {"generated": 1, "count": 6},
                    "features": [feature("ci", h, mag=1.5 + h / 10, place=f"{h} km N of X", time=1000 * t,
                                         updated=1000 * t + 5, net="ci", type="earthquake", sig=30 + h)
                                 for h, t in enumerate(EPOCHS)]}),
        12, 1, {"mag": 6, "sig": 6}),
    "observations of NWS": (
        json.dumps({"type": "FeatureCollection", "features": [nws(h) for h in range(6)]}),
        12, 1, {"temperature": 6, "relativeHumidity": 6}),
    "SensorThings": (
        json.dumps({"value": [thing(h) for h in range(6)]}),
        6, 1, {"Air temperature at roof": 6}),
    "OpenAQ": (
        json.dumps({"meta": {"found": 12},
                    "results": [openaq(h, p) for h in range(6) for p in ("pm25", "o3")]}),
        12, 1, {"pm25": 6, "o3": 6}),
    "uplinks of The Things Network 2": (lines(*(ttn2(h) for h in range(6))), 12, 1, TH),
    "ChirpStack": (lines(*(chirpstack(h) for h in range(6))), 12, 1, TH),
    "an envelope of MQTT": (
        lines(*({"topic": f"site/{of}/env", "payload": {"temperature": 20.5 + h, "humidity": 40},
                 "timestamp": HOURS[h]} for h in range(3) for of in ("n1", "n2"))),
        12, 2, TH),
    "Prometheus": (json.dumps(prometheus()), 12, 2, TH),
    "an instant query of Prometheus": (json.dumps(instant()), 4, 2, {"temperature": 2, "humidity": 2}),
    "InfluxDB 1": (json.dumps(influx()), 12, 2, TH),
    "PurpleAir": (json.dumps(purpleair()), 12, 1, TH),
    "Awair": (
        json.dumps({"data": [{"timestamp": t, "score": 80,
                              "sensors": [{"comp": "temp", "value": 20.5 + i},
                                          {"comp": "humid", "value": 40}],
                              "indices": [{"comp": "temp", "value": 1}, {"comp": "humid", "value": 0}]}
                             for i, t in enumerate(HOURS)]}),
        12, 1, {"temp": 6, "humid": 6}),
    "Zigbee2MQTT": (lines(*(zigbee(h) for h in range(6))), 24, 1, {"battery": 6, "linkquality": 6, **TH}),
    "Tasmota": (lines(*(tasmota(h) for h in range(6))), 12, 1, {"ENERGY.Total": 6, "Power": 6}),
    "NOAA CO-OPS": (json.dumps(coops()), 12, 1, {"v": 6, "s": 6}),
    "features of USGS": (
        json.dumps({"type": "FeatureCollection", "features": [usgs_ogc(h) for h in range(6)]}),
        6, 1, {"00060": 3, "00065": 3}),
    "AirNow": (
        json.dumps([{"DateObserved": "2024-05-01 ", "HourObserved": h, "LocalTimeZone": "PST",
                     "ReportingArea": "Napa", "Latitude": 38.3, "Longitude": -122.3, "ParameterName": p,
                     "AQI": 20 + h, "Category": {"Number": 1, "Name": "Good"}}
                    for h in range(6) for p in ("O3", "PM2.5")]),
        24, 2, {"AQI": 12, "Category.Number": 12}),
    "SMHI": (json.dumps(smhi()), 6, 1, {"Lufttemperatur": 6}),
    "ERDDAP": (json.dumps(erddap()), 24, 2, {"wtmp": 12, "wvht": 12}),
    "Graphite": (
        json.dumps([{"target": f"roof.{kind}", "datapoints": [[20.5 + i, t] for i, t in enumerate(EPOCHS)]}
                    for kind in ("temp", "hum")]),
        12, 1, {"roof.temp": 6, "roof.hum": 6}),
    "a map of sensors": (
        json.dumps({of: {"time": HOURS[0], "temperature": 20.5, "humidity": 40}
                    for of in ("s1", "s2", "s3")}),
        6, 3, {"temperature": 3, "humidity": 3}),
    "ThingsBoard": (
        json.dumps({kind: [{"ts": 1000 * t, "value": f"{20.5 + i}"} for i, t in enumerate(EPOCHS)]
                    for kind in ("temperature", "humidity")}),
        12, 1, TH),
    "telemetry of ThingsBoard": (
        json.dumps({of: [{"ts": 1000 * t, "values": {"temperature": 20.5 + i, "humidity": 40}}
                         for i, t in enumerate(EPOCHS)] for of in ("Device A", "Device B")}),
        24, 2, {"temperature": 12, "humidity": 12}),
    "Ecowitt": (
        json.dumps({"code": 0, "msg": "success", "time": str(EPOCHS[0]), "data": {
            where: {kind: {"time": str(EPOCHS[0]), "unit": unit, "value": "20.5"}
                    for kind, unit in (("temperature", "degC"), ("humidity", "%"))}
            for where in ("outdoor", "indoor")}}),
        4, 2, {"temperature": 2, "humidity": 2}),
    "Shelly": (
        lines(*({"src": "shelly-1", "dst": "x", "method": "NotifyStatus", "params": {
            "ts": EPOCHS[h] + 0.25, "temperature:0": {"id": 0, "tC": 20.5 + h, "tF": 70.5},
            "humidity:0": {"id": 0, "rh": 40.5}}} for h in range(6))),
        18, 1, {"tC": 6, "tF": 6, "rh": 6}),
    "Netatmo": (
        json.dumps({"body": {"devices": [
            {"_id": f"70:ee:50:0{i}", "station_name": f"home {i}",
             "dashboard_data": {"time_utc": EPOCHS[0], "Temperature": 21.5, "Humidity": 40 + i}}
            for i in range(3)]}, "status": "ok", "time_server": EPOCHS[1]}),
        6, 3, {"Temperature": 3, "Humidity": 3}),
    "members called by their times": (
        json.dumps({"status": "ok", "body": {str(t): [20.5 + i] for i, t in enumerate(EPOCHS)}}),
        6, 1, {"value": 6}),
    "numbers called by their times": (
        json.dumps({"temp": {t: 20.5 + i for i, t in enumerate(HOURS)}}), 6, 1, {"value": 6}),
    "lists beside one another": (
        json.dumps({"zone": "NL", "range": {"start": HOURS[0], "end": HOURS[5]},
                    **{kind: [{"start": t, "price": {"value": f"{i}.25"}} for i, t in enumerate(HOURS)]
                       for kind in ("base", "all_in")}}),
        12, 2, {"price": 12}),
    "the last of each device": (
        json.dumps([{"macAddress": f"AA:{i}", "time": HOURS[0] if i else HOURS[1], "temp": 20.5 + i}
                    for i in range(6)]),
        6, 6, {"temp": 6}),
    "KNMI": (
        json.dumps([{"station_code": 260, "date": f"2024-05-0{d}T00:00:00.000Z", "TG": 100 + d, "RH": d}
                    for d in range(1, 7)]),
        12, 1, {"TG": 6, "RH": 6}),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_services_and_devices_send(kind: str) -> None:
    data, valid, sensors, types = KINDS[kind]
    found = read(data)
    assert (found.types, found.rejected) == (types, 0), proposed(data).toml()
    assert (found.valid, len(found.sensors)) == (valid, sensors), proposed(data).toml()
    assert found.valid == found.distinct, proposed(data).toml()
