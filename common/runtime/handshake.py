"""A TLS handshake in memory: the only public way that `ssl` has to read a certificate."""

from __future__ import annotations

import ssl

# Trust a certificate without its issuer, and whether it has expired or not: the second is
# X509_V_FLAG_NO_CHECK_TIME of openssl/x509_vfy.h.
ANY_ISSUER_ANY_TIME = ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(0x200000)
_FLIGHTS = 4  # of a full handshake


def shake_hands(
    server_side: ssl.SSLContext, client_side: ssl.SSLContext
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """The two ends after their handshake: server and client.

    Raises:
        ssl.SSLError: one does not accept the other.
    """
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(down, up)
    server = server_side.wrap_bio(up, down, server_side=True)
    for _ in range(_FLIGHTS):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return server, client
