"""The API against its own description: schemathesis asks what it permits, and what it does not."""

from __future__ import annotations

import schemathesis
from fake_desk import KEY, FakeDesk, options
from hypothesis import HealthCheck, settings

from shortwire.terms import CallState, HangupCause
from shortwire.web import create_app


def build() -> tuple[FakeDesk, object]:
    desk = FakeDesk()
    desk.add("call_1")
    desk.add("call_2", state=CallState.ENDED, cause=HangupCause.BUSY)
    return desk, create_app(desk, options())


desk, application = build()
schema = schemathesis.openapi.from_asgi("/openapi.json", application)
schema.config.seed = 20


# What no schema can say: which numbers may be dialled, and what a text or a free-form value may hold.
BEYOND_SCHEMA = ("number_refused", "holds a character", "holds a number", "holds a whole number", "is nested deeper")


@schema.parametrize()
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_api_keeps_what_its_description_promises(case: schemathesis.Case) -> None:
    response = case.call(headers={"Authorization": f"Bearer {KEY}"})
    meant = response.status_code == 422 and any(reason in response.text for reason in BEYOND_SCHEMA)
    checks = schemathesis.checks.CHECKS
    excluded = [checks.get_one("positive_data_acceptance")] if meant else []
    if response.status_code == 413:
        # Refused for its size before its contents were looked at: a refusal schemathesis does not count as one.
        excluded.append(checks.get_one("negative_data_rejection"))
    case.validate_response(response, excluded_checks=excluded)


def test_the_description_covers_the_api() -> None:
    covered = {(operation.ok().method.upper(), operation.ok().path) for operation in schema.get_all_operations()}
    assert covered == {
        ("POST", "/v1/calls"),
        ("GET", "/v1/calls"),
        ("GET", "/v1/calls/{call_id}"),
        ("POST", "/v1/calls/{call_id}/hangup"),
        ("GET", "/v1/calls/{call_id}/events"),
        ("GET", "/v1/health"),
        ("POST", "/outbound-call"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
    }
