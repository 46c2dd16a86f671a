"""What can go wrong, as one tree.

    CustomGPTError                             .resend_safe: a prompt may be sent again
    ├── ConfigurationError (also ValueError)   before any request
    ├── TransportError                         no complete answer; .session_id .external_id .partial_answer
    │   ├── ConnectionFailed                   nothing was sent
    │   │   └── CertificateRefused             permanent
    │   ├── ConnectionLost                     sent, then the line dropped: may have been answered and billed
    │   ├── RequestTimeout                     silence too long; .clock .sent
    │   ├── Unresolved                         `ask_once` found that it was sent before, and no answer
    │   └── StreamInterrupted                  the answer began and did not finish
    ├── ProtocolError                          an answer in a form the API does not document; .excerpt
    └── APIError                               the API said no; .status .code .message .url .retry_after .body
        ├── BadRequest 400, 422   AuthenticationFailed 401   PermissionDenied 403   NotFound 404
        ├── RateLimited 429                    throttled: wait and try again
        ├── CreditsExhausted 429               waiting buys no credits
        ├── ServerError 5xx
        └── AnswerFailed                       status "error" inside a stream; .partial_answer

Every error pickles: `args` is the sentence, everything else lives in the instance's `__dict__`.
None of them ever holds the API key.
"""

from __future__ import annotations

__all__ = [
    "APIError",
    "AnswerFailed",
    "AuthenticationFailed",
    "BadRequest",
    "CertificateRefused",
    "ConfigurationError",
    "ConnectionFailed",
    "ConnectionLost",
    "CreditsExhausted",
    "CustomGPTError",
    "NotFound",
    "PermissionDenied",
    "ProtocolError",
    "RateLimited",
    "RequestTimeout",
    "ServerError",
    "StreamInterrupted",
    "TransportError",
    "Unresolved",
]

EXCERPT_CHARACTERS = 200


class CustomGPTError(Exception):
    """Anything this package raises on purpose; `str(error)` says what happened and what to do next."""

    @property
    def resend_safe(self) -> bool:
        """Whether the same prompt may be sent again: it was refused, or never arrived, and was not billed."""
        return False


class ConfigurationError(CustomGPTError, ValueError):
    """An argument is missing or cannot work; found before any request was made."""


class TransportError(CustomGPTError):
    """No complete answer arrived. What had arrived by then is on the error."""

    def __init__(
        self,
        message: str,
        *,
        session_id: str | None = None,
        external_id: str | None = None,
        partial_answer: str = "",
    ) -> None:
        super().__init__(message)
        self.session_id = session_id
        self.external_id = external_id
        self.partial_answer = partial_answer


class ConnectionFailed(TransportError):
    """No connection: the name did not resolve, or the host or proxy refused. Nothing was sent."""

    @property
    def resend_safe(self) -> bool:
        """True: the request never left."""
        return True


class CertificateRefused(ConnectionFailed):
    """The server's TLS certificate does not verify. Nothing was sent, and trying again will not help."""

    @property
    def resend_safe(self) -> bool:
        """False: the same certificate would be refused again."""
        return False


class ConnectionLost(TransportError):
    """The connection was lost after the request was sent: it may have been carried out, and billed."""


class RequestTimeout(TransportError):
    """Nothing arrived for too long. `sent` tells whether the request had left.

    `clock` names what ran out: "connect" (nothing sent), "first_byte", "idle", "events", "session" (another
    prompt kept the conversation busy; nothing sent), or "ready" (an agent was not ready in time).
    """

    def __init__(
        self,
        message: str,
        *,
        clock: str = "first_byte",
        sent: bool = True,
        session_id: str | None = None,
        external_id: str | None = None,
        partial_answer: str = "",
    ) -> None:
        super().__init__(
            message, session_id=session_id, external_id=external_id, partial_answer=partial_answer
        )
        self.clock = clock
        self.sent = sent

    @property
    def resend_safe(self) -> bool:
        """True when the request had not left yet."""
        return not self.sent


class StreamInterrupted(TransportError):
    """The answer began and did not finish. `partial_answer` is the text that had arrived."""


class Unresolved(TransportError):
    """A prompt that is asked once was, or may have been, sent before, and no answer to it is stored.

    It may have been billed. Look at the conversation `session_id`, ask again later (a late answer is found),
    or decide to send it again, with `resend_unresolved=True`.
    """


class ProtocolError(CustomGPTError):
    """The service answered in a form its API does not document.

    `excerpt` is the beginning of the answer; `status` is the HTTP status where that was wrong (a redirect).
    """

    def __init__(
        self,
        message: str,
        *,
        excerpt: str = "",
        status: int | None = None,
        session_id: str | None = None,
        external_id: str | None = None,
        partial_answer: str = "",
    ) -> None:
        super().__init__(message)
        self.excerpt = excerpt[:EXCERPT_CHARACTERS]
        self.status = status
        self.session_id = session_id
        self.external_id = external_id
        self.partial_answer = partial_answer


class APIError(CustomGPTError):
    """The API refused the request.

    `status` is the HTTP status, `code` the one inside the vendor's envelope (usually equal), `message` the
    vendor's words, `retry_after` seconds when the answer named them, `body` the start of the raw body.
    """

    def __init__(
        self,
        sentence: str,
        *,
        status: int = 0,
        code: int | None = None,
        message: str = "",
        url: str = "",
        retry_after: float | None = None,
        body: str = "",
        session_id: str | None = None,
        external_id: str | None = None,
        partial_answer: str = "",
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.message = message
        self.url = url
        self.retry_after = retry_after
        self.body = body
        self.session_id = session_id
        self.external_id = external_id
        self.partial_answer = partial_answer

    @property
    def resend_safe(self) -> bool:
        """True for 408 and 425, and for 503 that names a time: the request was turned away unread."""
        return self.status in (408, 425) or (self.status == 503 and self.retry_after is not None)


class BadRequest(APIError):
    """400 or 422: the API does not accept what was sent."""


class AuthenticationFailed(APIError):
    """401: the API key is missing or not valid."""


class PermissionDenied(APIError):
    """403: the key may not do this, or the agent has nothing indexed yet."""


class NotFound(APIError):
    """404: no such agent, conversation, message, page or source for this key."""


class RateLimited(APIError):
    """429, throttled: too many requests in this minute; `retry_after` seconds when the answer named them."""

    @property
    def resend_safe(self) -> bool:
        """True: the prompt was turned away before any work."""
        return True


class CreditsExhausted(APIError):
    """429, no query credits left: final until the billing cycle turns or credits are bought."""


class ServerError(APIError):
    """5xx: the service failed; a prompt may still have been answered and billed."""


class AnswerFailed(APIError):
    """The service reported an error inside the stream; `partial_answer` is the text before it."""
