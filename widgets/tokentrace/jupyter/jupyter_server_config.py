"""Settings for a Jupyter server that also serves the pages: `make lab` and Binder."""

from tokentrace import dashboards

c = get_config()  # noqa: F821 (given by Jupyter)
c.merge(dashboards.page_settings())
c.LabApp.extension_manager = "readonly"  # no catalogue of extensions is fetched
