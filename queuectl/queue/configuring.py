"""The settings of a spool, and what is laid over them in this process."""

from __future__ import annotations

from queuectl import config
from queuectl.layers import Held
from queuectl.queue.acting import Acting
from queuectl.queue.guard import guarded


class Configuring(Acting):
    """Of `Queue`."""

    @guarded
    def get_config(self) -> dict[str, config.Value]:
        """Every setting's value."""
        return self.store.config._asdict()

    @guarded
    def config_origins(self) -> dict[str, Held]:
        """Every setting's value, with the layer that it is from: default, spool, environment or option."""
        return self.store.layers.held(self.store.index.settings())

    @guarded
    def config_problems(self) -> dict[str, str]:
        """Of what is stored in the spool and does not hold, by name, why."""
        from queuectl.layers import unfit

        found = {name: unfit(name, text) for name, text in self.store.index.settings().items()}
        return {name: why for name, why in found.items() if why is not None}

    @guarded
    def set_config(self, name: str, text: str) -> config.Value:
        """Set a setting of the spool; the value that was stored, which a stronger layer may hide here.

        Raises:
            InvalidInput: there is no such setting, or it cannot have this value.
        """
        value = config.parse_value(name, text)
        with self.store.changing_settings() as index:
            index.set_setting(name, config.show_value(value))
        return value

    @guarded
    def unset_config(self, name: str) -> config.Value:
        """Back to the default, which is returned, as far as the spool is concerned.

        Raises:
            InvalidInput: there is no such setting.
        """
        default = config.setting(name).default
        with self.store.changing_settings() as index:
            index.unset_setting(name)
        return default
