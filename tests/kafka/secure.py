"""Users and certificates for a broker's secure listener, made fresh for each broker and worth nothing elsewhere."""

from pathlib import Path
from secrets import token_urlsafe

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from msgspec import Struct


class ClientCredentials(Struct, frozen=True, kw_only=True):
    """What a client shows to be let in: one user, known to PLAIN and SCRAM alike, and a client certificate.

    `wrong_password` belongs to nobody, `other_ca_file` signed neither the broker nor a client that it trusts, and
    `other_cert_file` with `other_key_file` is a client's certificate by that other authority.
    """

    user: str
    password: str
    wrong_password: str
    ca_file: Path
    cert_file: Path
    key_file: Path
    other_ca_file: Path
    other_cert_file: Path
    other_key_file: Path
    server_file: Path

    def scram_users(self) -> list[str]:
        """Return the users as `kafka.tools.StorageTool format --add-scram` takes them."""
        return [f"SCRAM-SHA-{bits}=[name={self.user},password={self.password}]" for bits in (256, 512)]

    def listener(self, name: str) -> dict[str, object]:
        """Return the broker's settings of the listener with that name: SASL over TLS, both sides with certificates."""
        security, known = "org.apache.kafka.common.security", f'user_{self.user}="{self.password}"'
        modules = {
            "plain": f"{security}.plain.PlainLoginModule required {known}",
            "scram-sha-256": f"{security}.scram.ScramLoginModule required",
            "scram-sha-512": f"{security}.scram.ScramLoginModule required",
        }
        settings: dict[str, object] = {
            "sasl.enabled.mechanisms": ",".join(modules).upper(),
            "ssl.client.auth": "required",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.server_file,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.ca_file,
        }
        settings |= {f"{mechanism}.sasl.jaas.config": f"{module};" for mechanism, module in modules.items()}
        return {f"listener.name.{name}.{key}": value for key, value in settings.items()}

    def hint(self) -> str:
        """Return in a line what a person needs to get in."""
        return f"user {self.user}, password {self.password}, certificates in {self.ca_file.parent}"


def make_credentials(folder: Path) -> ClientCredentials:
    """Write an authority, the broker's and a client's certificate, and the same of an authority that nobody trusts."""
    folder.mkdir(mode=0o700)
    trusted, other = trustme.CA(), trustme.CA()
    trusted.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other-ca.pem")
    _write_pair(trusted.issue_cert("127.0.0.1", "localhost"), folder / "server.crt", folder / "server.key")
    _write_pair(trusted.issue_cert("client@forewarn.test"), folder / "client.crt", folder / "client.key")
    _write_pair(other.issue_cert("client@forewarn.test"), folder / "other-client.crt", folder / "other-client.key")
    # Kafka wants the key and its certificates in one file.
    (folder / "server.pem").write_bytes((folder / "server.key").read_bytes() + (folder / "server.crt").read_bytes())
    return ClientCredentials(
        user="forewarn",
        password=token_urlsafe(18),
        wrong_password=token_urlsafe(18),
        ca_file=folder / "ca.pem",
        cert_file=folder / "client.crt",
        key_file=folder / "client.key",
        other_ca_file=folder / "other-ca.pem",
        other_cert_file=folder / "other-client.crt",
        other_key_file=folder / "other-client.key",
        server_file=folder / "server.pem",
    )


def _write_pair(leaf: trustme.LeafCert, certificate: Path, key: Path) -> None:
    certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    # Kafka reads PKCS 8 only.
    private = load_pem_private_key(leaf.private_key_pem.bytes(), password=None)
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key.chmod(0o600)
