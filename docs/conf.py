"""Configuration of the documentation site: Sphinx with MyST, built by `make docs`."""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / "_ext")]

import mm_gym  # noqa: E402  (the line above makes it importable)

project = "mm_gym"
author = "The mm_gym developers"
copyright = "The mm_gym developers, MIT licence"
release = version = mm_gym.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "generated",
]
exclude_patterns = ["_build", "_ext", "_generated", "_static", "conf.py", "pictures"]

# Tutorials are scripts. They run when the site is built, and again only if their code changes:
# delete docs/_build/.jupyter_cache to run them with a changed mm_gym.
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_cache_path = str(DOCS / "_build" / ".jupyter_cache")
os.environ["PYTHONPATH"] = str(DOCS.parent)  # the kernel imports `agents` from the repository
os.environ.setdefault("OMP_NUM_THREADS", "1")

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

# Docstrings mark code with single backticks, as Markdown does.
default_role = "code"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_use_rtype = False

copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"

html_theme = "furo"
html_title = "mm_gym"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}
