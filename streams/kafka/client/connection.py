"""How Kafka is reached: addresses, encryption and identity, tried once before anything else is started.

aiokafka answers every failure to connect with the same error and writes the cause into its log.  Here each address is
tried with the connection itself, so that what is wrong comes back as one line that names the setting.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from aiokafka import errors as kafka_errors  # type: ignore[import-untyped]  # aiokafka comes without types
from aiokafka.conn import AIOKafkaConnection  # type: ignore[import-untyped]  # as above
from aiokafka.protocol.metadata import MetadataRequest  # type: ignore[import-untyped]  # as above
from msgspec import Struct

from streams.shared.errors import SettingsError
from streams.shared.settings import KafkaMechanism, KafkaProtocol, Secret, Settings

if TYPE_CHECKING:
    from faust.auth import Credentials

CHECK_S: Final = 10.0
_ENCRYPTED: Final = ("ssl", "sasl_ssl")
_WITH_IDENTITY: Final = ("sasl_plaintext", "sasl_ssl")
_CLOSES_S: Final = 0.2
_NAME_MISMATCH: Final = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL.


class ConnectionSettings(Struct, frozen=True, kw_only=True):
    """How to reach Kafka: where it is, how the connection is encrypted, and who we are."""

    brokers: str = "127.0.0.1:9092"
    protocol: KafkaProtocol = "plaintext"
    mechanism: KafkaMechanism | None = None
    user: str | None = None
    password: Secret | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


def connection_settings(settings: Settings) -> ConnectionSettings:
    """Return the connection that the settings describe.

    Raises:
        SettingsError: a setting is missing that its protocol needs, or one is given that the protocol has no use for.
    """
    protocol = settings.kafka_protocol
    if protocol in _WITH_IDENTITY:
        for name in ("kafka_mechanism", "kafka_user", "kafka_password"):
            if getattr(settings, name) is None:
                raise SettingsError(f"{name} is missing, and kafka_protocol {protocol} needs it", hint=_HINTS[name])
    else:
        _refuse_idle(settings, ("kafka_mechanism", "kafka_user", "kafka_password"), "sasl_ssl")
    if protocol not in _ENCRYPTED:
        files = ("kafka_ca_file", "kafka_cert_file", "kafka_key_file")
        _refuse_idle(settings, files, "sasl_ssl" if protocol in _WITH_IDENTITY else "ssl")
    if settings.kafka_key_file is not None and settings.kafka_cert_file is None:
        raise SettingsError(
            "kafka_key_file is given without kafka_cert_file", hint="name the certificate that the key belongs to"
        )
    return ConnectionSettings(
        brokers=settings.kafka,
        protocol=protocol,
        mechanism=settings.kafka_mechanism,
        user=settings.kafka_user,
        password=settings.kafka_password,
        ca_file=settings.kafka_ca_file,
        cert_file=settings.kafka_cert_file,
        key_file=settings.kafka_key_file,
    )


def client_options(cluster: ConnectionSettings) -> dict[str, Any]:
    """Return the keyword arguments that every aiokafka client takes: the addresses and how to speak to them.

    Raises:
        SettingsError: a certificate or key cannot be read or used.
    """
    return {"bootstrap_servers": cluster.brokers.split(","), **_connection_options(cluster)}


def faust_credentials(cluster: ConnectionSettings) -> "Credentials | None":
    """Return what Faust calls credentials, None where the connection is neither encrypted nor proves who we are.

    Raises:
        SettingsError: a certificate or key cannot be read or used.
    """
    from faust.auth import SASLCredentials, SSLCredentials  # noqa: PLC0415 - takes a second, and few commands run Faust

    context = _ssl_context(cluster) if cluster.protocol in _ENCRYPTED else None
    if cluster.protocol in _WITH_IDENTITY:
        return SASLCredentials(
            username=cluster.user, password=_password_text(cluster), ssl_context=context, mechanism=cluster.mechanism
        )
    return None if context is None else SSLCredentials(context)


async def check_connection(cluster: ConnectionSettings, timeout_s: float = CHECK_S) -> None:
    """Connect to a broker, say who we are, and reach the brokers that it names; takes `timeout_s` seconds at most.

    Raises:
        SettingsError: none can be reached or none takes us; the message names the setting that is probably wrong.
    """
    options = _connection_options(cluster)
    given = [_host_and_port(address) for address in cluster.brokers.split(",")]
    connection = await _any_connected(given, cluster, options, timeout_s)
    try:
        async with asyncio.timeout(timeout_s):
            answer = await connection.send(MetadataRequest([]))
    except (TimeoutError, OSError, kafka_errors.KafkaError) as error:
        raise SettingsError(
            f"kafka_protocol: {cluster.brokers} answers with {cluster.protocol}, but not to what is asked then",
            hint=None if cluster.protocol in _WITH_IDENTITY else "does it want a user and a password (sasl_...)?",
        ) from error
    finally:
        await _close(connection)
    announced = [(host, port) for _, host, port, *_ in answer.brokers]
    if announced and not set(announced) & set(given):
        try:
            await _close(await _any_connected(announced, cluster, options, timeout_s))
        except SettingsError as error:
            raise SettingsError(
                f"the broker at {cluster.brokers} answers, but not under the address that it announces: {error}",
                hint="its advertised.listeners should be reachable from here",
            ) from error


async def _any_connected(
    addresses: Iterable[tuple[str, int]], cluster: ConnectionSettings, options: dict[str, Any], timeout_s: float
) -> AIOKafkaConnection:
    """Return a connection to the first address that takes one; where none does, raise for the most telling failure."""
    tried = list(addresses)
    limited = {"request_timeout_ms": max(1, int(timeout_s * 1000)), **options}
    results = await asyncio.gather(
        *(_connect(AIOKafkaConnection(host, port, **limited)) for host, port in tried), return_exceptions=True
    )
    connections = [result for result in results if isinstance(result, AIOKafkaConnection)]
    for spare in connections[1:]:
        await _close(spare)
    if connections:
        return connections[0]
    failures = [
        (address, result) for address, result in zip(tried, results, strict=True) if isinstance(result, BaseException)
    ]
    # A broker that answered says more than one that is not there.
    (host, port), failure = min(failures, key=lambda pair: isinstance(pair[1], _NOT_THERE))
    if not isinstance(failure, _EXPECTED):
        raise failure
    message, hint = _diagnosis(failure, f"{host}:{port}", cluster, timeout_s)
    raise SettingsError(message, hint=hint) from failure


async def _connect(connection: AIOKafkaConnection) -> AIOKafkaConnection:
    try:
        await connection.connect()
    except (socket.gaierror, ConnectionRefusedError):
        raise  # There is nothing to close.
    except BaseException:
        await _close(connection)
        raise
    return connection


async def _close(connection: AIOKafkaConnection) -> None:
    """Close a connection, and give its socket the moment that this takes."""
    closed = connection.close()
    if closed is not None:
        await asyncio.wait([closed], timeout=_CLOSES_S)


def _connection_options(cluster: ConnectionSettings) -> dict[str, Any]:
    options: dict[str, Any] = {"security_protocol": cluster.protocol.upper()}
    if cluster.protocol in _ENCRYPTED:
        options["ssl_context"] = _ssl_context(cluster)
    if cluster.protocol in _WITH_IDENTITY:
        options |= {
            "sasl_mechanism": cluster.mechanism,
            "sasl_plain_username": cluster.user,
            "sasl_plain_password": _password_text(cluster),
        }
    return options


def _password_text(cluster: ConnectionSettings) -> str | None:
    return None if cluster.password is None else cluster.password.reveal.decode("utf-8")


def _ssl_context(cluster: ConnectionSettings) -> ssl.SSLContext:
    ca = None if cluster.ca_file is None else _pem(cluster.ca_file, "kafka_ca_file", "CERTIFICATE-----")
    try:
        context = ssl.create_default_context(cadata=ca)
    except ssl.SSLError as error:
        raise SettingsError(f"kafka_ca_file: {cluster.ca_file} holds no certificate that can be used") from error
    if cluster.cert_file is not None:
        certificate = _pem(cluster.cert_file, "kafka_cert_file", "CERTIFICATE-----")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificate)
        except ssl.SSLError as error:
            why = f"kafka_cert_file: {cluster.cert_file} holds no certificate that can be used"
            raise SettingsError(why) from error
        key_setting = "kafka_cert_file" if cluster.key_file is None else "kafka_key_file"
        key_file = cluster.key_file or cluster.cert_file
        _pem(key_file, key_setting, "PRIVATE KEY-----")

        def ask() -> NoReturn:
            raise SettingsError(
                f"{key_setting}: the private key in {key_file} is locked with a password",
                hint="unlock a copy with `openssl pkey -in locked.pem -out key.pem` and keep it to yourself",
            )

        try:
            context.load_cert_chain(cluster.cert_file, cluster.key_file, password=ask)
        except ssl.SSLError as error:
            raise SettingsError(
                f"{key_setting}: the private key in {key_file} is not that of the certificate in {cluster.cert_file}",
                hint="kafka_cert_file and kafka_key_file should be a pair, both in PEM",
            ) from error
    return context


def _pem(path: Path, setting: str, marker: str) -> str:
    try:
        text = path.read_text("ascii", errors="replace")
    except OSError as error:
        raise SettingsError(f"{setting}: {path} cannot be read: {error.strerror or error}") from error
    if marker not in text:
        what = "certificate" if marker.startswith("CERTIFICATE") else "private key"
        raise SettingsError(f"{setting}: {path} holds no {what} in PEM", hint=f"PEM is text with a line BEGIN {marker}")
    return text


def _refuse_idle(settings: Settings, names: Iterable[str], protocol: str) -> None:
    for name in names:
        if getattr(settings, name) is not None:
            raise SettingsError(
                f"{name} is given, and kafka_protocol {settings.kafka_protocol} has no use for it",
                hint=f"set kafka_protocol to {protocol}, or take {name} away",
            )


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _diagnosis(
    failure: BaseException, address: str, cluster: ConnectionSettings, timeout_s: float
) -> tuple[str, str | None]:
    """Return what is wrong, with the setting's name, and what to do about it."""
    if isinstance(failure, socket.gaierror):
        return f"kafka: the name in {address} is known to no name server", "check its spelling"
    if isinstance(failure, ConnectionRefusedError):
        return f"kafka: nothing listens at {address}", "start the broker, or set kafka to its address"
    if isinstance(failure, ssl.SSLCertVerificationError):
        return _mistrust(failure, address)
    if isinstance(failure, kafka_errors.SaslAuthenticationFailed | ValueError):
        return f"kafka_user, kafka_password: the broker at {address} does not take them", _WHICH_MECHANISM
    if isinstance(failure, kafka_errors.UnsupportedSaslMechanismError):
        return f"kafka_mechanism: the broker at {address} does not offer {cluster.mechanism}", _HINTS["kafka_mechanism"]
    if isinstance(failure, kafka_errors.IllegalSaslStateError):
        return f"kafka_protocol: the broker at {address} asks nobody who he is, and {cluster.protocol} says it", None
    if isinstance(failure, TimeoutError):
        return f"kafka: no answer from {address} within {timeout_s:g} s", "is there a firewall between us?"
    if cluster.protocol in _ENCRYPTED:
        return _broken_off(failure, address, cluster)
    if isinstance(failure, kafka_errors.KafkaConnectionError | ConnectionResetError | EOFError):
        hint = "set kafka_protocol to what its listener speaks: is it ssl or sasl_ssl?"
        return f"kafka_protocol: {address} breaks off a connection with {cluster.protocol}", hint
    return f"kafka: {address} cannot be reached: {getattr(failure, 'strerror', None) or failure}", None


def _mistrust(failure: ssl.SSLCertVerificationError, address: str) -> tuple[str, str]:
    if failure.verify_code in _NAME_MISMATCH:
        return (
            f"kafka: the certificate of {address} is for another name",
            "use an address that its certificate names",
        )
    return (
        f"kafka_ca_file: the certificate of {address} is not vouched for: {failure.verify_message}",
        "name the file with the certificate authority that signed it",
    )


def _broken_off(failure: BaseException, address: str, cluster: ConnectionSettings) -> tuple[str, str | None]:
    """Return why an encrypted connection was ended: a broker tells, if at all, with an alert in the middle of it."""
    agreed = isinstance(failure, kafka_errors.KafkaConnectionError)  # Only what follows the handshake is aiokafka's.
    if not agreed and getattr(failure, "reason", None) not in _REFUSALS:
        return f"kafka_protocol: {address} does not speak the TLS that {cluster.protocol} needs", "is it plaintext?"
    if cluster.cert_file is None:
        return (
            f"kafka_cert_file: {address} breaks off the encrypted connection, and no certificate is set",
            "brokers that ask for certificates take only clients with kafka_cert_file and kafka_key_file",
        )
    return (
        f"kafka_cert_file: {address} breaks off the connection with the certificate in {cluster.cert_file}",
        "is it signed by an authority that the broker trusts, and still valid?",
    )


_EXPECTED: Final = (OSError, EOFError, ValueError, kafka_errors.KafkaError)
_NOT_THERE: Final = (socket.gaierror, ConnectionRefusedError, TimeoutError)
_REFUSALS: Final = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "SSLV3_ALERT_NO_CERTIFICATE",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)
"""OpenSSL's names of the alerts with which a broker refuses a client that brings no certificate, or a bad one."""
_WHICH_MECHANISM: Final = "a user may be known to one mechanism and not to another: see kafka_mechanism"
_HINTS: Final = {
    "kafka_mechanism": "it is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, as the broker's listener is configured",
    "kafka_user": "set FOREWARN_KAFKA_USER",
    "kafka_password": "set FOREWARN_KAFKA_PASSWORD, or FOREWARN_KAFKA_PASSWORD_FILE to a file that holds it",
}
