"""By what a kept session is known to be that of the password which is set now."""

import hashlib

# Some 20 ms for each start of a program.
_COST, _MEMORY = 1 << 12, 1 << 23
_BYTES = 2


def password_mark(password: str, *, account: str, key: bytes) -> str:
    """Four hex digits that another password does not have, but for one in 65,536.

    Nobody can guess the password by them: `key` is the home's own, and not kept beside the mark;
    whoever has both pays scrypt for each guess, and 16 bits fit one guess in 65,536.
    """
    salt = hashlib.blake2b(account.encode(), key=key[:64], person=b"session").digest()
    made = hashlib.scrypt(
        password.encode(), salt=salt, n=_COST, r=8, p=1, maxmem=_MEMORY, dklen=_BYTES
    )
    return made.hex()
