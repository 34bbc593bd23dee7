"""A connection with TLS, client certificates and passwords; and each way of getting it wrong, in one line."""

import asyncio
import contextlib
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import trustme
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]  # aiokafka comes without types

from streams.kafka.client.connection import (
    ConnectionSettings,
    check_connection,
    client_options,
    connection_settings,
    faust_credentials,
)
from streams.shared.errors import SettingsError
from streams.shared.settings import Secret, load_settings
from tests.cli.calling import call, error_line, lines
from tests.kafka.broker import Broker
from tests.kafka.secure import ClientCredentials

MECHANISMS: list[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


def credentials_of(broker: Broker) -> ClientCredentials:
    assert broker.credentials is not None
    return broker.credentials


def wire_of(broker: Broker, **changed: Any) -> ConnectionSettings:
    """Return the wire that works, with what is changed."""
    known = credentials_of(broker)
    assert broker.secure_address is not None
    right = ConnectionSettings(
        brokers=broker.secure_address,
        protocol="sasl_ssl",
        mechanism="SCRAM-SHA-512",
        user=known.user,
        password=Secret(known.password.encode()),
        ca_file=known.ca_file,
        cert_file=known.cert_file,
        key_file=known.key_file,
    )
    return msgspec.structs.replace(right, **changed)


def refused(cluster: ConnectionSettings, timeout_s: float = 10.0) -> str:
    """Return the one line with which a connection is refused."""
    with pytest.raises(SettingsError) as caught:
        asyncio.run(check_connection(cluster, timeout_s))
    assert "\n" not in str(caught.value)
    if cluster.password is not None:
        assert cluster.password.reveal.decode() not in str(caught.value)
    return str(caught.value)


@contextlib.contextmanager
def listening(answer: bytes | None, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Listen at a port, with TLS if there is a context; answer with some bytes and the end, or (None) with silence."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                if answer is None:
                    held.append(client)
                elif context is not None:
                    with contextlib.suppress(OSError), context.wrap_socket(client, server_side=True):
                        pass
                else:
                    client.recv(1)
                    client.sendall(answer)
                    client.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    for client in held:
        client.close()
    thread.join(5)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_each_mechanism_connects_over_tls_with_a_client_certificate(secure_broker: Broker, mechanism: str) -> None:
    asyncio.run(check_connection(wire_of(secure_broker, mechanism=mechanism)))


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_records_go_and_come_over_a_secure_connection(secure_broker: Broker, prefix: str, mechanism: str) -> None:
    cluster = wire_of(secure_broker, mechanism=mechanism)
    environ = settings_environ(cluster)
    assert lines(call("topics", "create", "--prefix", prefix, "--partitions", "2", "--json", env=environ))

    async def work() -> list[bytes]:
        producer = AIOKafkaProducer(**client_options(cluster), enable_idempotence=True)
        await producer.start()
        try:
            await producer.send_and_wait(f"{prefix}usage", b"over TLS", partition=1)
        finally:
            await producer.stop()
        consumer = AIOKafkaConsumer(f"{prefix}usage", **client_options(cluster), auto_offset_reset="earliest")
        await consumer.start()
        try:
            return [(await consumer.getone()).value]
        finally:
            await consumer.stop()

    assert asyncio.run(work()) == [b"over TLS"]


def settings_environ(cluster: ConnectionSettings) -> dict[str, str]:
    """Return the environment that describes a secure wire."""
    assert cluster.password is not None
    return {
        "FOREWARN_KAFKA": cluster.brokers,
        "FOREWARN_KAFKA_PROTOCOL": cluster.protocol.upper(),
        "FOREWARN_KAFKA_MECHANISM": str(cluster.mechanism).lower(),
        "FOREWARN_KAFKA_USER": str(cluster.user),
        "FOREWARN_KAFKA_PASSWORD": cluster.password.reveal.decode(),
        "FOREWARN_KAFKA_CA_FILE": str(cluster.ca_file),
        "FOREWARN_KAFKA_CERT_FILE": str(cluster.cert_file),
        "FOREWARN_KAFKA_KEY_FILE": str(cluster.key_file),
    }


def test_the_settings_of_a_secure_wire_give_that_wire(secure_broker: Broker, tmp_path: Path) -> None:
    cluster = wire_of(secure_broker)
    environ = settings_environ(cluster)
    assert connection_settings(load_settings(environ)) == cluster
    (tmp_path / "password").write_text(environ.pop("FOREWARN_KAFKA_PASSWORD") + "\n")
    environ["FOREWARN_KAFKA_PASSWORD_FILE"] = str(tmp_path / "password")
    assert connection_settings(load_settings(environ)) == cluster


def test_faust_is_given_the_same_identity_and_certificates(secure_broker: Broker) -> None:
    credentials: Any = faust_credentials(wire_of(secure_broker))
    assert (credentials.protocol.value, credentials.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert isinstance(credentials.ssl_context, ssl.SSLContext)
    assert faust_credentials(ConnectionSettings()) is None
    encrypted: Any = faust_credentials(wire_of(secure_broker, protocol="ssl"))
    assert encrypted.protocol.value == "SSL"


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_password_is_told_as_such_and_not_shown(secure_broker: Broker, mechanism: str) -> None:
    wrong = Secret(credentials_of(secure_broker).wrong_password.encode())
    said = refused(wire_of(secure_broker, mechanism=mechanism, password=wrong))
    assert said.startswith(f"kafka_user, kafka_password: the broker at {secure_broker.secure_address} does not take")


def test_an_unknown_user_is_told_as_a_wrong_password_is(secure_broker: Broker) -> None:
    assert refused(wire_of(secure_broker, user="nobody")).startswith("kafka_user, kafka_password: ")


def test_an_authority_that_did_not_sign_the_broker_is_named(secure_broker: Broker) -> None:
    known = credentials_of(secure_broker)
    said = refused(wire_of(secure_broker, ca_file=known.other_ca_file))
    assert said.startswith(f"kafka_ca_file: the certificate of {secure_broker.secure_address} is not vouched for")
    assert refused(wire_of(secure_broker, ca_file=None)).startswith("kafka_ca_file: ")


def test_an_address_that_the_certificate_does_not_name_is_refused(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("elsewhere.test").configure_cert(context)
    with listening(b"", context) as address:
        said = refused(ConnectionSettings(brokers=address, protocol="ssl", ca_file=tmp_path / "ca.pem"))
    assert said.startswith(f"kafka: the certificate of {address} is for another name")


def test_a_certificate_that_is_missing_or_of_a_stranger_is_named(secure_broker: Broker) -> None:
    known = credentials_of(secure_broker)
    said = refused(wire_of(secure_broker, cert_file=None, key_file=None))
    assert said.startswith(f"kafka_cert_file: {secure_broker.secure_address} breaks off")
    assert "no certificate is set" in said
    said = refused(wire_of(secure_broker, cert_file=known.other_cert_file, key_file=known.other_key_file))
    assert said.startswith(f"kafka_cert_file: {secure_broker.secure_address} breaks off")
    assert str(known.other_cert_file) in said


def test_a_protocol_that_the_listener_does_not_speak_is_named(secure_broker: Broker) -> None:
    plain = ConnectionSettings(brokers=str(secure_broker.secure_address))
    assert refused(plain).startswith("kafka_protocol: ")
    assert refused(wire_of(secure_broker, protocol="sasl_plaintext")).startswith("kafka_protocol: ")
    assert refused(wire_of(secure_broker, brokers=secure_broker.address)).startswith("kafka_protocol: ")
    assert refused(wire_of(secure_broker, brokers=secure_broker.address, protocol="sasl_plaintext")).startswith(
        "kafka_protocol: "
    )
    assert refused(wire_of(secure_broker, protocol="ssl")).startswith("kafka_")


def test_an_address_where_nobody_is_or_nobody_answers_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    assert refused(ConnectionSettings(brokers=address)).startswith(
        f"kafka: nothing listens at {address}; start the broker"
    )
    with listening(None) as silent:
        assert refused(ConnectionSettings(brokers=silent), 0.3).startswith(
            f"kafka: no answer from {silent} within 0.3 s"
        )
    assert refused(ConnectionSettings(brokers="no-such-host.invalid:9092")).startswith(
        "kafka: the name in no-such-host.invalid:9092"
    )
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as web:
        assert refused(ConnectionSettings(brokers=web), 5.0).startswith(("kafka_protocol: ", "kafka: "))


def test_one_address_that_works_is_enough(secure_broker: Broker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        dead = f"127.0.0.1:{server.getsockname()[1]}"
    asyncio.run(check_connection(ConnectionSettings(brokers=f"{dead},{secure_broker.address}")))


def test_a_file_that_cannot_be_read_or_used_is_named_with_its_setting(secure_broker: Broker, tmp_path: Path) -> None:
    known = credentials_of(secure_broker)
    text = tmp_path / "text.pem"
    text.write_text("not a certificate")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    locked = tmp_path / "locked.pem"
    command = ["openssl", "pkey", "-in", str(known.key_file), "-aes128", "-passout", "pass:secret", "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True)
    for changed, says in (
        ({"ca_file": tmp_path}, f"kafka_ca_file: {tmp_path} cannot be read"),
        ({"ca_file": tmp_path / "gone"}, f"kafka_ca_file: {tmp_path / 'gone'} cannot be read"),
        ({"ca_file": text}, f"kafka_ca_file: {text} holds no certificate in PEM"),
        ({"ca_file": broken}, f"kafka_ca_file: {broken} holds no certificate that can be used"),
        ({"cert_file": text}, f"kafka_cert_file: {text} holds no certificate in PEM"),
        ({"key_file": text}, f"kafka_key_file: {text} holds no private key in PEM"),
        ({"key_file": None}, f"kafka_cert_file: {known.cert_file} holds no private key in PEM"),
        ({"key_file": known.other_key_file}, f"kafka_key_file: the private key in {known.other_key_file} is not that"),
        ({"cert_file": broken}, f"kafka_cert_file: {broken}"),
        ({"key_file": locked}, f"kafka_key_file: the private key in {locked} is locked with a password"),
    ):
        assert says in refused(wire_of(secure_broker, **changed))


def test_a_file_without_the_right_to_read_it_is_named(secure_broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch(mode=0o000)
    cluster = wire_of(secure_broker, ca_file=tmp_path / "ca.pem")
    before = os.geteuid()
    if before == 0:
        os.seteuid(65_534)  # Root may read every file.
    try:
        assert "kafka_ca_file: " in refused(cluster)
        assert "permission denied" in refused(cluster).lower()
        with pytest.raises(SettingsError, match=r"kafka_ca_file.*ca\.pem"):
            load_settings({"FOREWARN_KAFKA_CA_FILE": str(tmp_path / "gone" / "ca.pem")})
    finally:
        os.seteuid(before)


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        (
            {"PROTOCOL": "sasl_ssl"},
            "kafka_mechanism is missing, and kafka_protocol sasl_ssl needs it; it is PLAIN, SCRAM",
        ),
        ({"PROTOCOL": "sasl_ssl", "MECHANISM": "plain"}, "kafka_user is missing.*FOREWARN_KAFKA_USER"),
        ({"PROTOCOL": "sasl_plaintext", "MECHANISM": "plain", "USER": "a"}, "kafka_password is missing.*PASSWORD_FILE"),
        (
            {"USER": "a"},
            "kafka_user is given, and kafka_protocol plaintext has no use for it; set kafka_protocol to sasl",
        ),
        ({"PROTOCOL": "ssl", "PASSWORD": "a"}, "kafka_password is given, and kafka_protocol ssl has no use for it"),
        ({"CA_FILE": __file__}, "kafka_ca_file is given, and kafka_protocol plaintext .*set kafka_protocol to ssl"),
        ({"PROTOCOL": "ssl", "KEY_FILE": __file__}, "kafka_key_file is given without kafka_cert_file"),
    ],
)
def test_settings_that_do_not_fit_together_are_named(environ: dict[str, str], says: str) -> None:
    settings = load_settings({f"FOREWARN_KAFKA_{name}": value for name, value in environ.items()})
    with pytest.raises(SettingsError, match=says):
        connection_settings(settings)


def test_connection_settings_show_their_password_to_nobody() -> None:
    cluster = ConnectionSettings(user="a", password=Secret(b"a real secret"))
    assert "a real secret" not in f"{cluster} {cluster!r}"


def test_the_command_line_says_what_is_wrong_in_one_line(secure_broker: Broker) -> None:
    environ = settings_environ(wire_of(secure_broker))
    environ["FOREWARN_KAFKA_PASSWORD"] = credentials_of(secure_broker).wrong_password
    result = call("topics", "check", env=environ)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert error_line(result.stderr).startswith("error: kafka_user, kafka_password: the broker at ")
