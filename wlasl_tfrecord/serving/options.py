"""Where a server listens, who may use it, and what one video may cost it."""

import ipaddress
import secrets
from dataclasses import dataclass

from wlasl_tfrecord.decoder_pool.jobs import VideoLimits

__all__ = ["MIN_TOKEN_LENGTH", "ServeOptions", "is_loopback", "new_token"]

# With 16 letters and digits nobody finds a token by trying.
MIN_TOKEN_LENGTH = 16


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """The choices of a server.

    Attributes:
        host: The address to listen on; only this machine reaches 127.0.0.1.
        port: The port; 0 for any free one.
        token: The secret that every request for a prediction must carry; None for no
            check, which is allowed on this machine only.
        top: How many glosses an answer lists, unless the request asks for another
            number.
        max_mib: How large a video may be, in MiB.
        max_frames: How many frames a video may have.
        max_at_once: How many videos may be uploaded, waiting or at work; one more is
            refused with status 429.
        header_seconds: How long the head of a request may take.
        upload_seconds: How long an upload may take.
        decode_seconds: How long decoding a video may take.
        memory_mib: How much memory a decoder process may take, in MiB.
        workers: Decoder processes.
        batch_size: How many waiting clips go through the network at once.

    Raises:
        ValueError: If a value can never be right, or the server would be open to other
            machines without a token.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    top: int = 5
    max_mib: int = 64
    max_frames: int = 3000
    max_at_once: int = 16
    header_seconds: float = 10.0
    upload_seconds: float = 60.0
    decode_seconds: float = 20.0
    memory_mib: int = 1024
    workers: int = 2
    batch_size: int = 8

    def __post_init__(self) -> None:
        """Reject what no server can do, and a server that anybody may use."""
        for name in (
            *("top", "max_mib", "max_frames", "max_at_once"),
            *("workers", "batch_size"),
        ):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        _ = self.decoder_limits
        if not 0 <= self.port < 2**16:
            raise ValueError(f"port must be from 0 to 65535, got {self.port}")
        for name, value in (
            ("header timeout", self.header_seconds),
            ("upload timeout", self.upload_seconds),
        ):
            if not 0 < value < 1e6:
                raise ValueError(
                    f"{name} must be above 0 and below 1e6 seconds, got {value}"
                )
        if self.token is not None and (
            len(self.token) < MIN_TOKEN_LENGTH
            or not self.token.isascii()
            or not self.token.isprintable()
            or " " in self.token
        ):
            raise ValueError(
                f"a token is {MIN_TOKEN_LENGTH} or more ASCII characters without "
                f"spaces, got {len(self.token)} characters; --token new makes one"
            )
        if self.token is None and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} opens this server to every machine that reaches "
                "this one; set a secret that they must send with --token, or let "
                "--token new make one"
            )

    @property
    def decoder_limits(self) -> VideoLimits:
        """What decoding one video may cost."""
        return VideoLimits(
            timeout_seconds=self.decode_seconds, memory_mib=self.memory_mib
        )


def is_loopback(host: str) -> bool:
    """Returns whether only this machine reaches an address.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # A name: whatever it stands for today, it may be another machine's view of us.
        return False


def new_token() -> str:
    """Returns a secret of 32 letters, digits, `-` and `_` that nobody can guess."""
    return secrets.token_urlsafe(24)
