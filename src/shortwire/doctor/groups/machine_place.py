"""Where this machine stands, as far as it or its cloud says so."""

from __future__ import annotations

import contextlib
import re

import aiohttp

from ...net.probes import http_request
from ..bench import Bench
from ..check import Tell, check


@check(
    "machine.cloud_region",
    "Where this machine stands",
    "Reads the cloud's name from the machine and its region from the environment or the metadata service.",
    needs_settings=False,
)
async def cloud_region(bench: Bench, tell: Tell) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "FLY_REGION", "GOOGLE_CLOUD_REGION", "RAILWAY_REPLICA_REGION"):
        if region := bench.environment.get(name):
            tell.ok(f"{region} ({name})", region=region)
            return
    vendor = ""
    with contextlib.suppress(OSError):
        vendor = bench.vendor_file.read_text().strip()
    ask = {"Amazon EC2": _aws, "Google": _google, "Microsoft Corporation": _azure}.get(vendor)
    region = ""
    if ask is not None:
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            region = await ask(bench)
    if re.fullmatch(r"[a-z0-9-]{2,40}", region):
        tell.ok(f"{region} ({vendor})", region=region)
    else:
        tell.ok("not a cloud that says where it is")


async def _aws(bench: Bench) -> str:
    base = bench.metadata_url
    token = await http_request(
        bench.http,
        "PUT",
        f"{base}/latest/api/token",
        deadline_s=1,
        headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"},
    )
    headers = {"X-aws-ec2-metadata-token": token.body.decode("ascii", "replace")}
    answer = await http_request(
        bench.http, "GET", f"{base}/latest/meta-data/placement/region", deadline_s=1, headers=headers
    )
    return answer.body.decode("ascii", "replace")


async def _google(bench: Bench) -> str:
    url = f"{bench.metadata_url}/computeMetadata/v1/instance/zone"
    answer = await http_request(bench.http, "GET", url, deadline_s=1, headers={"Metadata-Flavor": "Google"})
    return answer.body.decode("ascii", "replace").rpartition("/")[2]


async def _azure(bench: Bench) -> str:
    url = f"{bench.metadata_url}/metadata/instance/compute/location?api-version=2021-02-01&format=text"
    answer = await http_request(bench.http, "GET", url, deadline_s=1, headers={"Metadata": "true"})
    return answer.body.decode("ascii", "replace")
