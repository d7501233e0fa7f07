"""No Python names: see _view.pxd."""
