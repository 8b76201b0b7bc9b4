"""concord config: checks and shows the settings of a home, without starting anything."""

import typer

from gateway.cli.call import Call, command
from gateway.cli.output import visible


def register(application: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Check and show the settings in concord.toml.")
    application.add_typer(group, name="config")

    @command(group, "check")
    def check(call: Call) -> None:
        """Check concord.toml, CONCORD_* variables, partner profiles and file modes. Needs no passphrase."""
        from gateway.config import load_config, unknown_variables
        from gateway.errors import PolicyNotApplied
        from gateway.installation import warnings_about
        from gateway.installation.applied import check_applied
        from gateway.installation.connectors import plan_connectors
        from gateway.profiles import load_profiles

        config = load_config(call.home)
        connectors = [f"{plan.name} ({plan.kind_name})" for plan in plan_connectors(call.home, config)]
        profiles = load_profiles(config.partners_dir)
        warnings = list(warnings_about(call.home, config))
        warnings += [f"environment variable {name} is not a setting and is ignored" for name in unknown_variables()]
        try:
            check_applied(call.home, config)
        except PolicyNotApplied as error:
            warnings.append(f"the gateway would not start: {error.text}")
        own = profiles.get(config.partner)
        if own is None:
            warnings.append(f"{config.partners_dir} has no profile of '{config.partner}': nothing can be sent")
        authorities = {authority.id for authority in own.authorities} if own else set()
        warnings += [
            f"system '{item.name}' speaks for '{authority}', which the profile of '{config.partner}' does not know"
            for item in config.system
            for authority in item.authorities
            if own is not None and authority not in authorities
        ]
        agreements = [agreement.id for agreement in own.agreements] if own else []
        call.output.record(
            {
                "ok": True,
                "home": str(call.home),
                "partner": str(config.partner),
                "mode": config.mode.name.lower(),
                "profiles": sorted(str(partner) for partner in profiles),
                "agreements": agreements,
                "connectors": connectors,
                "warnings": warnings,
            }
        )
        call.output.fields(
            [
                ("settings", f"{call.home / 'concord.toml'} is good"),
                ("partner", f"{config.partner}   mode {config.mode.name}"),
                ("profiles", " ".join(sorted(str(partner) for partner in profiles))),
                ("agreements", ", ".join(agreements) or "none"),
                *((("connectors", ", ".join(connectors)),) if connectors else ()),
                *(("warning", warning) for warning in warnings),
            ]
        )

    @command(group, "show")
    def show(call: Call) -> None:
        """Show the settings in force: the file, overridden by CONCORD_* variables, completed by defaults."""
        from gateway.config import effective, load_config

        data = effective(load_config(call.home))
        call.output.record(data)
        for key, value in data.items():
            if isinstance(value, dict):
                for inner, item in value.items():
                    call.output.text(f"{key}.{inner} = {visible(str(item))}")
            else:
                call.output.text(f"{key} = {visible(str(value))}")
