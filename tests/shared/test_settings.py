"""Settings come from where they say, a bad one names itself, and a key shows itself to nobody."""

import inspect
from pathlib import Path

import pytest

from streams.shared import errors
from streams.shared.errors import ForewarnError, SettingsError
from streams.shared.settings import Secret, Settings, load_settings, own_key, read_key_file

KEY = "a secret of thirty-two characters"


def test_without_anything_the_defaults_hold_and_say_so() -> None:
    settings = load_settings({"PATH": "/bin"})
    assert (settings.database, settings.policy, settings.progress) == ("forewarn.db", None, "auto")
    assert set(settings.origins.values()) == {"default"}


def test_the_command_line_beats_the_environment_and_the_environment_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "forewarn.toml"
    file.write_text('[settings]\ndatabase = "file.db"\nprogress = "never"\n[policy.label]\nhorizon_days = 9\n')
    settings = load_settings({"FOREWARN_DATABASE": "environment.db"}, file)
    assert (settings.database, settings.progress) == ("environment.db", "never")
    assert settings.origins["database"] == "the environment"
    assert settings.origins["progress"] == str(file)
    settings = load_settings({"FOREWARN_DATABASE": "environment.db"}, file, {"database": "line.db", "progress": None})
    assert (settings.database, settings.progress) == ("line.db", "never")


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "here.toml"
    file.write_text('[settings]\ndatabase = "file.db"\n')
    assert load_settings({"FOREWARN_SETTINGS": str(file)}).database == "file.db"


def test_nobody_has_a_key_by_default_and_everybody_gets_one_of_his_own_once(tmp_path: Path) -> None:
    assert load_settings({}).pseudonym_key is None
    first, path, is_new = own_key({"XDG_CONFIG_HOME": str(tmp_path / "a")})
    again, same, is_newer = own_key({"XDG_CONFIG_HOME": str(tmp_path / "a")})
    other, _, _ = own_key({"HOME": str(tmp_path / "b")})
    assert (is_new, is_newer, again, same) == (True, False, first, path)
    assert other != first
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "b" / ".config" / "forewarn" / "pseudonym.key").is_file()


def test_the_key_that_seals_secrets_is_another_one_in_a_file_of_its_own(tmp_path: Path) -> None:
    assert load_settings({}).sink_key is None
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    pseudonyms, _, _ = own_key(environ)
    sink, path, is_new = own_key(environ, "sink")
    assert (path, is_new) == (tmp_path / "forewarn" / "sink.key", True)
    assert own_key(environ, "sink") == (sink, path, False)
    assert sink != pseudonyms
    assert path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"no sink key .*FOREWARN_SINK_KEY to .*FOREWARN_SINK_KEY_FILE to a file"):
        own_key({"XDG_CONFIG_HOME": str(tmp_path / "file")}, "sink")


def test_the_mail_server_is_asked_for_encryption_unless_told_otherwise(tmp_path: Path) -> None:
    assert load_settings({}).smtp_tls == "starttls"
    file = tmp_path / "s.toml"
    file.write_text('[settings]\nsmtp = "mail.example:587"\nsmtp_from = "Early warning <alerts@example.net>"\n')
    settings = load_settings({"FOREWARN_SMTP_PASSWORD": "pass word", "FOREWARN_SMTP_TLS": "TLS"}, file)
    assert (settings.smtp, settings.smtp_tls) == ("mail.example:587", "tls")
    assert (settings.smtp_from, settings.smtp_user) == ("Early warning <alerts@example.net>", None)
    assert settings.smtp_password == Secret(b"pass word")
    assert "pass word" not in repr(settings)


def test_where_no_key_can_be_kept_the_error_says_how_to_set_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"FOREWARN_PSEUDONYM_KEY.*FOREWARN_PSEUDONYM_KEY_FILE") as caught:
        own_key({"XDG_CONFIG_HOME": str(tmp_path / "file")})
    assert caught.value.exit_code == 2


def test_a_key_comes_from_the_environment_or_from_a_file_beside_the_settings(tmp_path: Path) -> None:
    assert load_settings({"FOREWARN_PSEUDONYM_KEY": KEY}).pseudonym_key == Secret(KEY.encode())
    (tmp_path / "key").write_text(KEY + "\n")
    (tmp_path / "s.toml").write_text('[settings]\npseudonym_key_file = "key"\n')
    assert load_settings({}, tmp_path / "s.toml").pseudonym_key == Secret(KEY.encode())
    assert load_settings({"FOREWARN_PSEUDONYM_KEY_FILE": str(tmp_path / "key")}).pseudonym_key == Secret(KEY.encode())
    assert read_key_file(tmp_path / "key").reveal == KEY.encode()


def test_a_key_file_on_the_command_line_beats_a_key_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("another secret of the command line")
    settings = load_settings({"FOREWARN_PSEUDONYM_KEY": KEY}, None, {"pseudonym_key_file": tmp_path / "key"})
    assert settings.pseudonym_key == Secret(b"another secret of the command line")
    assert settings.origins["pseudonym_key"] == "the command line"


def test_a_key_is_never_shown() -> None:
    settings = load_settings({"FOREWARN_PSEUDONYM_KEY": KEY})
    assert KEY not in repr(settings)
    assert KEY not in f"{settings}"
    with pytest.raises(SettingsError) as caught:
        load_settings({"FOREWARN_PSEUDONYM_KEY": "short secret"})
    assert "short secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"FOREWARN_PROGRESS": "loud"}, "progress in the environment should be auto, always or never"),
        ({"FOREWARN_LANGUAGE": "fr"}, "language in the environment should be en or zh"),
        ({"FOREWARN_DATABASE": " "}, "database in the environment should be text"),
        ({"FOREWARN_POLICY": "/no/such/file"}, "policy in the environment should be a TOML file that exists"),
        ({"FOREWARN_PSEUDONYM_KEY": "short"}, "pseudonym_key in the environment should hold a secret of 16 bytes"),
        ({"FOREWARN_PSEUDONYM_KEY_FILE": "/no/such/file"}, "pseudonym_key_file in the environment.*cannot be read"),
        ({"FOREWARN_PSEUDONYM_KEYFILE": "x"}, "did you mean FOREWARN_PSEUDONYM_KEY_FILE"),
        ({"FOREWARN_PSEUDONYM_KEY": KEY, "FOREWARN_PSEUDONYM_KEY_FILE": "x"}, "both a pseudonym key and a file"),
        (
            {"FOREWARN_KAFKA": "broker"},
            "kafka in the environment should be host:port, .* and 'broker' is not; for exam",
        ),
        ({"FOREWARN_KAFKA": "a:9092,b:99999"}, "'b:99999' is not"),
        ({"FOREWARN_KAFKA": "PLAINTEXT://a:9092"}, "kafka in the environment should be host:port"),
        (
            {"FOREWARN_KAFKA_PREFIX": "two words"},
            "kafka_prefix in the environment should be at most 100 letters, digits",
        ),
        ({"FOREWARN_KAFKA_PREFIX": "x" * 101}, "kafka_prefix in the environment should be at most 100 letters"),
        ({"FOREWARN_KAFKA_PROTOCOL": "tls"}, "kafka_protocol .* should be plaintext, ssl, sasl_plaintext or sasl_ssl"),
        ({"FOREWARN_KAFKA_MECHANISM": "GSSAPI"}, "kafka_mechanism .* should be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
        ({"FOREWARN_KAFKA_USER": " "}, "kafka_user in the environment should be text that is not empty"),
        ({"FOREWARN_KAFKA_PASSWORD": ""}, "kafka_password in the environment should be text that is not empty"),
        ({"FOREWARN_KAFKA_PASSWORD": "\udcff"}, "kafka_password in the environment should be UTF-8"),
        ({"FOREWARN_KAFKA_PASSWORD": "a", "FOREWARN_KAFKA_PASSWORD_FILE": "x"}, "both a password and a file"),
        ({"FOREWARN_KAFKA_PASSWORD_FILE": "/no/such/file"}, "kafka_password_file in the environment.*cannot be read"),
        ({"FOREWARN_KAFKA_CA_FILE": "/no/such/file"}, "kafka_ca_file in the environment should be a file that exists"),
        ({"FOREWARN_KAFKA_CERT_FILE": "/no/such/file"}, "kafka_cert_file in the environment should be a file that"),
        (
            {"FOREWARN_KAFKA_KEY_FILE": "/no/such/file"},
            "kafka_key_file in the environment should be a file that exists",
        ),
        ({"FOREWARN_CONTACT": "/no/such/file"}, "contact in the environment should be a TOML file that exists"),
        ({"FOREWARN_SINK_KEY": "short"}, "sink_key in the environment should hold a secret of 16 bytes"),
        ({"FOREWARN_SINK_KEY": KEY, "FOREWARN_SINK_KEY_FILE": "x"}, "both a sink key and a file"),
        ({"FOREWARN_SMTP": "mail.example"}, "smtp in the environment should be host:port; for example mail"),
        ({"FOREWARN_SMTP": "a:25,b:25"}, "smtp in the environment should be host:port"),
        ({"FOREWARN_SMTP_TLS": "ssl"}, "smtp_tls in the environment should be starttls, tls or none"),
        ({"FOREWARN_SMTP_FROM": "nobody"}, "smtp_from in the environment should be an e-mail address"),
        ({"FOREWARN_SMTP_FROM": "A\r\nBcc: b@c.example <a@b.example>"}, "smtp_from .* should be an e-mail address"),
        ({"FOREWARN_SMTP_PASSWORD": "a", "FOREWARN_SMTP_PASSWORD_FILE": "x"}, "both a password and a file"),
        ({"FOREWARN_SETTINGS": "/no/such/file"}, "settings file /no/such/file cannot be read"),
    ],
)
def test_a_bad_value_names_its_setting_its_origin_and_what_it_should_be(environ: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load_settings(environ)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[settings]\ndatabase = 7\n", "database in .* should be text"),
        ("[settings]\ndatabse = 'x'\n", "unknown setting databse; did you mean database"),
        (f"[settings]\npseudonym_key = '{KEY}'\n", "keep the key in a file of its own"),
        ("[settings]\nkafka_password = 'x'\n", "kafka_password may not stand in .*; keep the password in a file"),
        ("[settings]\nsmtp_password = 'x'\n", "smtp_password may not stand in .*; keep the password in a file"),
        (f"[settings]\nsink_key = '{KEY}'\n", "sink_key may not stand in .*; keep the key in a file of its own"),
        ("[settings]\nkafka_prefix = 3\n", "kafka_prefix in .* should be at most"),
        ("[settings]\nkafka_protocol = 3\n", "kafka_protocol in .* should be plaintext"),
        ("settings = 3\n", "should be a table"),
        ("[settings\n", "is not TOML"),
    ],
)
def test_a_bad_settings_file_is_told_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=says) as caught:
        load_settings({}, file)
    assert KEY not in str(caught.value)


def test_an_empty_or_a_huge_key_file_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"   short   \n", b"x" * 5000):
        (tmp_path / "key").write_bytes(content)
        with pytest.raises(SettingsError, match="bytes"):
            read_key_file(tmp_path / "key")


def test_kafka_is_this_machine_without_encryption_unless_told_otherwise(tmp_path: Path) -> None:
    settings = load_settings({})
    assert (settings.kafka, settings.kafka_prefix, settings.kafka_protocol) == ("127.0.0.1:9092", "", "plaintext")
    assert (settings.kafka_mechanism, settings.kafka_user, settings.kafka_password) == (None, None, None)
    (tmp_path / "ca.pem").write_text("")
    file = tmp_path / "s.toml"
    file.write_text('[settings]\nkafka = "a.example:9092, [::1]:9093"\nkafka_ca_file = "ca.pem"\nkafka_prefix = ""\n')
    settings = load_settings({"FOREWARN_KAFKA_PROTOCOL": "SASL_SSL", "FOREWARN_KAFKA_MECHANISM": "scram-sha-256"}, file)
    assert settings.kafka == "a.example:9092,[::1]:9093"
    assert (settings.kafka_protocol, settings.kafka_mechanism) == ("sasl_ssl", "SCRAM-SHA-256")
    assert settings.kafka_ca_file == tmp_path / "ca.pem"
    assert settings.origins["kafka_ca_file"] == str(file)


def test_a_password_keeps_its_spaces_and_shows_itself_to_nobody(tmp_path: Path) -> None:
    settings = load_settings({"FOREWARN_KAFKA_PASSWORD": " pass word "})
    assert settings.kafka_password == Secret(b" pass word ")
    assert "pass word" not in f"{settings} {settings!r}"
    (tmp_path / "password").write_bytes(b" pass word \r\n")
    settings = load_settings({"FOREWARN_KAFKA_PASSWORD_FILE": str(tmp_path / "password")})
    assert settings.kafka_password == Secret(b" pass word ")
    assert settings.origins["kafka_password"] == "the environment"
    (tmp_path / "password").write_bytes(b"\n")
    with pytest.raises(SettingsError, match="should hold a password, and is empty"):
        load_settings({"FOREWARN_KAFKA_PASSWORD_FILE": str(tmp_path / "password")})


def test_what_is_set_for_the_tests_alone_is_no_setting() -> None:
    assert load_settings({"FOREWARN_TEST_KAFKA": "127.0.0.1:1"}) == load_settings({})


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        Settings().database = "other"  # type: ignore[misc]  # That it cannot be assigned is what is tested.


def test_the_tree_of_errors_in_the_docstring_is_the_tree_of_classes() -> None:
    classes = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, ForewarnError)]
    assert errors.__doc__
    drawn = {
        words[0]: int(words[1])
        for line in errors.__doc__.splitlines()
        if len(words := line.lstrip(" │├└─").split()) > 1 and words[0].endswith("Error") and words[1].isdigit()
    }
    assert drawn == {one.__name__: one.exit_code for one in classes}
