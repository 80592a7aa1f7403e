"""Who may read the page: what a request says of its host and its token. Pure, and the only judge.

A page of another site that is open in the same browser can send requests to this address. It cannot read the answers, unless
the name of its own site is made to lead here (DNS rebinding). The header Host then has that name, and is refused.
"""

import hmac
import ipaddress
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is that of this machine alone."""
    if host.lower() == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def new_token() -> str:
    """A token that nobody can guess: 128 bits."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True)
class Access:
    """The rule for one server.

    Args:
        host: the address or name that leads to it.
        port: that it listens on.
        token: that a request must bring; empty on the loopback address, where none is needed.
    """

    host: str
    port: int
    token: str = ""

    @property
    def cookie(self) -> str:
        """Name of the cookie that holds the token; another one for each port, as cookies are not told apart by it."""
        return f"mixop-watch-{self.port}"

    def knows_host(self, header: str | None) -> bool:
        """Whether the header Host leads here by an address, or by a name that the user gave.

        Args:
            header: ``127.0.0.1:8642``, ``[::1]:8642``, ``localhost``.
        """
        host = _host_of(header or "")
        if is_loopback(self.host):
            return is_loopback(host)
        # An address is nobody's name, so no other site can have been made to lead here by it.
        return host.lower() in ("localhost", self.host.lower()) or _address(host) is not None

    def admits(self, query: Mapping[str, Sequence[str]], cookies: str | None) -> bool:
        """Whether a request brings the token, in its query or in its cookie.

        Args:
            query: its query, every value of each name.
            cookies: its header Cookie.
        """
        if not self.token:
            return True
        given = [*query.get("token", ()), self._of_cookie(cookies)]
        # In a time that does not depend on where they differ.
        return any(hmac.compare_digest(one.encode(), self.token.encode()) for one in given)

    def _of_cookie(self, cookies: str | None) -> str:
        try:
            found = SimpleCookie(cookies or "").get(self.cookie)
        except CookieError:
            return ""
        return "" if found is None else found.value


def _host_of(header: str) -> str:
    """The header Host without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
