"""The domains: ``<name>.toml`` holds the knobs, ``<name>_words.toml`` the words of its items."""
