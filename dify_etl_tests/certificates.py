"""Certificates for servers of tests, made by openssl."""

import subprocess
from pathlib import Path


def certificate(folder: Path, days: int) -> tuple[Path, Path]:
    """The files of a key and of a certificate for localhost that it signs itself, from now on for
    so many days.
    """
    key, request, extensions, certified = (
        folder / name for name in ("key.pem", "request.pem", "extensions", "certificate.pem")
    )
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    make = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    sign: list[str | Path] = ["openssl", "x509", "-req", "-days"]
    subprocess.run([*make, "-keyout", key, "-out", request], check=True, capture_output=True)
    signed = [*sign, str(days), "-in", request, "-signkey", key, "-extfile", extensions]
    subprocess.run([*signed, "-out", certified], check=True, capture_output=True)
    return key, certified
