"""Sphinx's settings of the site; `python -m minilib.batch.site` copies this file beside the pages and runs Sphinx.

Nothing is loaded from the network when a page is read, and pages are opened from a folder: formulas are MathML, which
browsers draw themselves, in place of MathJax from elsewhere.
"""

from latex2mathml.converter import convert

project = "Efficient video models"
author, copyright = "the authors of this suite", "the authors of this suite; Apache-2.0"
extensions = ["myst_nb"]
html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "home_page_in_toc": True,
    "navbar_persistent": [],
    "extra_footer": "<p>Made from executed notebooks and measured rows; no number is typed.</p>",
}
nb_execution_mode = "off"
nb_render_markdown_format = "gfm"  # tables in outputs, too
nb_ipywidgets_js = {}
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
# notebooks show headings, links and code in ways that are right in JupyterLab; none of these loses text on a page
suppress_warnings = ["myst.header", "myst.xref_missing", "misc.highlighting_failure", "mystnb.mime_priority"]


def visit_inline(translator, node):
    from docutils import nodes

    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def visit_block(translator, node):
    from docutils import nodes

    translator.body.append(f'<div class="math-block">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
