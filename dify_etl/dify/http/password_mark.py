"""By what a kept session is known to be that of the password which is set now."""

import hashlib
import hmac

# Some 20 ms for each start of a program. Not scrypt, which machines in FIPS mode refuse.
_ROUNDS = 80_000
_BYTES = 2


def password_mark(password: str, *, account: str, key: bytes) -> str:
    """Four hex digits that another password does not have, but for one in 65,536.

    Nobody can guess the password by them: `key` is the home's own, and not kept beside the mark;
    whoever has both pays PBKDF2 for each guess, and 16 bits fit one guess in 65,536.
    """
    salt = hmac.digest(key, f"session {account}".encode(), "sha256")
    made = hashlib.pbkdf2_hmac("sha256", password.encode("utf-8", "surrogatepass"), salt, _ROUNDS)
    return made[:_BYTES].hex()
