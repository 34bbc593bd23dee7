"""Joins the contact rules: the defaults, and the file that the settings name."""

import tomllib

from streams.core.notify.contact import ContactError, ContactRules, rules_from
from streams.defaults import read_default
from streams.shared.errors import SettingsError
from streams.shared.settings import Settings


def contact_rules(settings: Settings) -> ContactRules:
    """Return the default rules with the configured file laid over them.

    Raises:
        SettingsError: the file cannot be read, or makes no usable rules.
    """
    trees = [tomllib.loads(read_default("contact.toml"))]
    path = settings.contact
    if path is not None:
        try:
            tree = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"the contact rules {path} cannot be used: {error}") from error
        trees.append(tree.get("contact", tree))
    try:
        return rules_from(trees)
    except ContactError as error:
        raise SettingsError(f"the contact rules {path} cannot be used: {error}") from error
