"""Certificates for tests: `python3 tests/certs.py FOLDER` makes them with openssl; as a module, `make(folder)`.

The folder then holds `ca.crt`, and a key and a certificate each for
`good` (localhost and 127.0.0.1, signed by the CA), `lasting` (the same, for 90 days and not 30), `expired` (the same,
run out), `wronghost` (another host's),
`stranger` (the right host, signed by a CA nobody trusts), `selfsigned` (the right host, and its own CA, as
`openssl req -x509` makes it), `client` (no server's, signed by the CA), and `strange-client` (the same, by a CA nobody
trusts).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HOST = "DNS:localhost,IP:127.0.0.1"


def make(folder: str | Path) -> Path:
    """Make all of them in `folder` and return it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _authority(folder, "ca")
    _authority(folder, "strangers-ca")
    _signed(folder, "good", HOST)
    _signed(folder, "lasting", HOST, "-days", "90")
    _signed(folder, "expired", HOST, "-startdate", "20200101000000Z", "-enddate", "20200102000000Z")
    _signed(folder, "wronghost", "DNS:elsewhere.example")
    _signed(folder, "stranger", HOST, authority="strangers-ca")
    _signed(folder, "client", "DNS:client.example", usage="clientAuth")
    _signed(folder, "strange-client", "DNS:client.example", authority="strangers-ca", usage="clientAuth")
    _key(folder, "selfsigned")
    made = ["-subj", "/CN=localhost", "-days", "30", "-addext", f"subjectAltName={HOST}"]
    _openssl(folder, "req", "-x509", "-new", "-key", "selfsigned.key", "-out", "selfsigned.crt", *made)
    return folder


def _openssl(folder: Path, *words: str) -> None:
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {' '.join(words)} failed:\n{done.stderr}")


def _key(folder: Path, name: str) -> None:
    _openssl(folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")


def _authority(folder: Path, name: str) -> None:
    _key(folder, name)
    extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    subject = ["-subj", f"/CN=leaselock test {name}", "-days", "30"]
    _openssl(folder, "req", "-x509", "-new", "-key", f"{name}.key", "-out", f"{name}.crt", *subject, *extensions)


def _signed(
    folder: Path, name: str, alternative_names: str, *dates: str, authority: str = "ca", usage: str = "serverAuth"
) -> None:
    """`openssl ca` signs, since only it takes dates in the past on every OpenSSL 3."""
    _key(folder, name)
    _openssl(folder, "req", "-new", "-key", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    (folder / "index.txt").write_text("")
    (folder / f"{name}.cnf").write_text(
        "[ca]\ndefault_ca = this\n[this]\ndatabase = index.txt\nnew_certs_dir = .\nrand_serial = yes\n"
        "default_md = sha256\npolicy = any\nunique_subject = no\nx509_extensions = ext\n"
        "[any]\ncommonName = supplied\n"
        f"[ext]\nsubjectAltName = {alternative_names}\nbasicConstraints = critical,CA:FALSE\n"
        f"keyUsage = critical,digitalSignature\nextendedKeyUsage = {usage}\n"
    )
    signer = ["-config", f"{name}.cnf", "-cert", f"{authority}.crt", "-keyfile", f"{authority}.key"]
    files = ["-in", f"{name}.csr", "-out", f"{name}.crt"]
    _openssl(folder, "ca", "-batch", "-notext", *signer, *(dates or ("-days", "30")), *files)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python3 tests/certs.py FOLDER")
    make(sys.argv[1])
