"""The errors of the REST API (page "api/errors" and the observed texts), one function per refusal."""

from __future__ import annotations

__all__ = ["Refusal"]


class Refusal(Exception):
    """An HTTP answer with the vendor's error body."""

    def __init__(self, code: int, message: str, status: int = 400, *, faulty: bool = False) -> None:
        super().__init__(message)
        self.faulty = faulty
        """Refused on purpose, by a fault that is on."""
        self.code = code
        self.message = message
        self.status = status

    def body(self) -> dict[str, object]:
        return {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }

    @classmethod
    def unauthenticated(cls) -> Refusal:
        return cls(20003, "Authenticate", 401)

    @classmethod
    def not_found(cls, path: str) -> Refusal:
        return cls(20404, f"The requested resource {path} was not found", 404)

    @classmethod
    def bad_field(cls, message: str) -> Refusal:
        return cls(21200, message)

    @classmethod
    def bad_url(cls, name: str, url: str) -> Refusal:
        return cls(21205, f"{name} is not a valid URL: {url}")

    @classmethod
    def not_owned(cls, number: str) -> Refusal:
        return cls(
            21210,
            f"The source phone number provided, {number}, is not yet verified for your account. You may only make "
            "calls from phone numbers that you've verified or purchased from Twilio.",
        )

    @classmethod
    def bad_to(cls, code: int, number: str) -> Refusal:
        return cls(code, f"The phone number you are attempting to call, {number}, is not valid.")

    @classmethod
    def bad_from(cls, number: str) -> Refusal:
        return cls(21212, f"From is not a valid phone number: {number}")

    @classmethod
    def not_permitted(cls, number: str) -> Refusal:
        return cls(
            21215,
            f"Account not authorized to call {number}. Perhaps you need to enable some international permissions: "
            "https://www.twilio.com/console/voice/calls/geo-permissions/low-risk",
        )

    @classmethod
    def not_in_progress(cls, code: int = 21220) -> Refusal:
        return cls(code, "Call is not in-progress. Cannot redirect.")

    @classmethod
    def premium(cls, number: str) -> Refusal:
        return cls(21202, f"{number} is a premium number: it cannot be called")

    @classmethod
    def unreachable(cls, number: str) -> Refusal:
        return cls(21214, f"The phone number you are attempting to call, {number}, cannot be reached.")

    @classmethod
    def blocked(cls, number: str) -> Refusal:
        return cls(21216, f"Account not allowed to call {number}")

    @classmethod
    def not_verified(cls, number: str) -> Refusal:
        return cls(21219, f"The number {number} is unverified. Trial accounts may only make calls to verified numbers.")

    @classmethod
    def on_purpose(cls, status: int, code: int) -> Refusal:
        usual = {401: (20003, "Authenticate"), 404: (20404, "Not found"), 429: (20429, "Too Many Requests")}
        usual_code, message = usual.get(status, (20000 + status, "Internal Server Error"))
        return cls(code or usual_code, message, status, faulty=True)

    @classmethod
    def queue_full(cls, status: int = 400) -> Refusal:
        return cls(22005, "The call queue of this account holds more than 24 hours of calls.", status)

    @classmethod
    def too_many_calls(cls, status: int) -> Refusal:
        return cls(10004, "Call concurrency limit exceeded", status)

    @classmethod
    def too_many_requests(cls) -> Refusal:
        return cls(20429, "Too Many Requests", 429)
