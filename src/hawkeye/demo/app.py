"""The web page in gradio: layout and wiring. The work is in `page`, the drawing in `timeline` and `panels`."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hawkeye.choices import letter
from hawkeye.demo.page import Api, Page, Update, Updates
from hawkeye.demo.service import AUTO, Models
from hawkeye.demo.uploads import Uploads
from hawkeye.errors import ConfigError, HawkEyeError
from hawkeye.runtime import require

TITLE = "HawkEye: find the moment"
HEAD = "<h1>HawkEye</h1><p>Give a video and a sentence. See when it happens, and why the model thinks so.</p>"
SAMPLE = Path(__file__).parents[3] / "examples" / "space_cat_coffee.mp4"  # in a checkout; an installation has none
SAMPLE_SENTENCES = (
    "A rocket lifts off from the launch pad.",
    "A cup of coffee on a wooden table.",
    "An astronaut in an orange space suit smiles.",
)
STRATEGIES = (AUTO, "direct", "recursive")
MAX_WAITING = 16  # jobs in the queue; more are turned away
WORK = "work"  # the queue that everything heavy goes through, one job at a time
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]  # nothing is fetched from elsewhere


def build(models: Models, uploads: Uploads, sample: Path | None = SAMPLE) -> Any:
    """The page as gradio Blocks, not yet served. Raises MissingDependency without gradio."""
    os.environ["GRADIO_TEMP_DIR"] = str(uploads.folder)  # where gradio puts uploads; read when components are made
    gr = require("gradio", "demo")
    page = Page(models, uploads)
    sample = sample if sample is not None and sample.is_file() else None
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.HTML(HEAD, elem_id="hawk-head")
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=320):
                video = gr.Video(
                    label="Video", sources=["upload"], elem_id="hawk-video", height=360, buttons=[], interactive=True
                )
                if sample:
                    take = gr.Button("Use the sample video", size="sm", elem_id="hawk-sample")
                    take.click(
                        lambda: str(uploads.take(sample)), None, video, api_visibility="private", show_progress="hidden"
                    )
            with gr.Column(scale=5, min_width=320):
                with gr.Tabs():
                    with gr.Tab("Find"):
                        find = _find_tab(gr, models, sample is not None)
                    with gr.Tab("Ask"):
                        ask = _ask_tab(gr, models)
                    with gr.Tab("Caption"):
                        caption = _caption_tab(gr, models)
                    with gr.Tab("Compare"):
                        compare = _compare_tab(gr, models)
                cancel = gr.Button("Cancel", size="sm", elem_id="hawk-cancel")
        status = gr.HTML(elem_id="hawk-status")
        results = gr.HTML(elem_id="hawk-results")
        files = gr.File(
            label="Downloads: JSON, picture, clips",
            file_count="multiple",
            visible="hidden",
            interactive=False,
            elem_id="hawk-files",
        )
        shown = [status, results, files]

        def update(values: Update) -> list[Any]:
            given = [gr.skip() if value is None else value for value in values]
            if values.files is not None:
                given[2] = gr.File(
                    value=values.files or None, interactive=False, visible=True if values.files else "hidden"
                )
            return given

        def wire(handler: Callable[..., Updates], button: Any, *inputs: Any, enter: Any = None) -> Any:
            def serve(request: Any, *values: Any) -> Iterator[list[Any]]:
                yield update(Update(None, "", []))
                for values_now in handler(request.session_hash, *values):
                    yield update(values_now)

            serve.__annotations__ = {"request": gr.Request}  # by which gradio knows what to hand over
            return gr.on(
                [button.click, *([enter.submit] if enter else [])],
                serve,
                [video, *inputs],
                shown,
                api_visibility="private",
                concurrency_id=WORK,
                concurrency_limit=1,
                show_progress="hidden",
            )

        events = [
            wire(page.find, *find, enter=find[1]),
            wire(page.ask, *ask, enter=ask[1]),
            wire(page.caption, *caption),
            wire(page.compare, *compare, enter=compare[1]),
        ]

        def stop(request: Any) -> list[Any]:
            return update(page.cancel(request.session_hash))

        stop.__annotations__ = {"request": gr.Request}
        cancel.click(stop, None, shown, queue=False, cancels=events, api_visibility="private", show_progress="hidden")
        results.change(None, None, None, js="() => window.hawkeye.playFirst()", api_visibility="private")
        _add_api(gr, Api(page), models)
    return blocks.queue(max_size=MAX_WAITING, default_concurrency_limit=4)


def launch(
    blocks: Any,
    uploads: Uploads,
    host: str = "127.0.0.1",
    port: int = 7860,
    share: bool = False,
    max_upload_mb: int = 500,
    wait: bool = True,
) -> str:
    """Serve the page; returns its address at once, or, with ``wait``, when it is interrupted. Raises ConfigError."""
    here = Path(__file__)
    gr = require("gradio", "demo")
    theme = gr.themes.Base(
        primary_hue="orange", neutral_hue="slate", font=FONTS, font_mono=["ui-monospace", "monospace"]
    )
    uploads.start_sweeping()
    try:
        _, url, _ = blocks.launch(
            server_name=host,
            server_port=port,
            share=share,
            max_file_size=f"{max_upload_mb}mb",
            theme=theme,
            css=here.with_name("page.css").read_text(encoding="utf-8"),
            head=f"<script>{here.with_name('page.js').read_text(encoding='utf-8')}</script>",
            footer_links=["api"],
            quiet=True,
            prevent_thread_lock=True,
            ssr_mode=False,
        )
    except OSError as error:
        uploads.close()
        raise ConfigError(f"--port {port}: can't serve there ({error}): choose another port") from None
    if wait:
        try:
            blocks.block_thread()
        finally:
            blocks.close()
            uploads.close()
    return url


def _model_choice(gr: Any, models: Models, index: int = 0, label: str = "Model") -> Any:
    name = models.names[min(index, len(models.names) - 1)]
    return gr.Dropdown(models.names, value=name, label=label)


def _stretch(gr: Any) -> list[Any]:
    with gr.Row():
        start = gr.Number(0, label="From second", minimum=0, min_width=120)
        end = gr.Number(0, label="To second (0: its end)", minimum=0, min_width=120)
    return [start, end]


def _find_tab(gr: Any, models: Models, with_examples: bool) -> list[Any]:
    """The button, then the inputs in the order of `Page.find`; so do the other tabs."""
    sentences = gr.Textbox(
        label="Sentences to find",
        info="Enter starts; Shift+Enter for another line, one sentence a line.",
        placeholder="a dog runs across the grass",
        lines=1,
        max_lines=8,
        elem_id="hawk-sentences",
    )
    if with_examples:
        gr.Examples(
            [[sentence] for sentence in (*SAMPLE_SENTENCES, "\n".join(SAMPLE_SENTENCES))],
            [sentences],
            label="For the sample video",
            example_labels=[*SAMPLE_SENTENCES, "All three"],
            api_visibility="private",
        )
    with gr.Accordion("Settings", open=False):
        model = _model_choice(gr, models)
        strategy = gr.Radio(STRATEGIES, value=AUTO, label="Strategy", elem_id="hawk-strategy")
        turns = gr.Slider(1, 8, value=4, step=1, label="Turns at most")
    button = gr.Button("Find", variant="primary", elem_id="hawk-find")
    return [button, sentences, model, strategy, turns]


def _ask_tab(gr: Any, models: Models) -> list[Any]:
    question = gr.Textbox(label="Question", placeholder="What animal is it?", elem_id="hawk-question")
    options = gr.Textbox(
        label="Answers to choose from",
        info="One a line; none: in the model's own words.",
        lines=3,
        elem_id="hawk-options",
    )
    stretch = _stretch(gr)
    evidence = gr.Checkbox(label="Also find when it happens")
    model = _model_choice(gr, models)
    return [gr.Button("Ask", variant="primary", elem_id="hawk-ask"), question, options, *stretch, evidence, model]


def _caption_tab(gr: Any, models: Models) -> list[Any]:
    stretch, model = _stretch(gr), _model_choice(gr, models)
    return [gr.Button("Describe", variant="primary", elem_id="hawk-caption"), *stretch, model]


def _compare_tab(gr: Any, models: Models) -> list[Any]:
    sentences = gr.Textbox(label="Sentences to find", info="One a line.", max_lines=8, elem_id="hawk-compared")
    sides = []
    for index, strategy in enumerate(("direct", "recursive")):
        with gr.Row():
            sides.append(_model_choice(gr, models, index, f"Model {letter(index)}"))
            default = AUTO if len(models.names) > 1 else strategy
            sides.append(gr.Dropdown(STRATEGIES, value=default, label=f"Strategy {letter(index)}"))
    return [gr.Button("Compare", variant="primary", elem_id="hawk-compare"), sentences, *sides]


def _add_api(gr: Any, api: Api, models: Models) -> None:
    """The endpoints for programs. Their inputs are components that are never shown: gradio documents the API by them."""

    def endpoint(function: Callable[..., Any], inputs: Sequence[Any], output: Any) -> None:
        @functools.wraps(function)
        def serve(*values: Any) -> Any:
            try:
                return function(*values)
            except HawkEyeError as error:
                raise gr.Error(api.plain(error, values[0]), print_exception=False) from None

        name = function.__name__
        gr.Button(visible=False).click(
            serve, list(inputs), output, api_name=name, concurrency_id=WORK, concurrency_limit=1
        )

    with gr.Column(visible=False):
        video, model = gr.Video(label="video", sources=["upload"]), _model_choice(gr, models, label="model")
        lines, question = gr.Textbox(label="sentences, one a line"), gr.Textbox(label="question")
        options = gr.Textbox(label="options, one a line", value="")
        start, end, evidence = gr.Number(0, label="start"), gr.Number(0, label="end"), gr.Checkbox(label="evidence")
        strategy = gr.Radio(STRATEGIES, value=AUTO, label="strategy")
        turns = gr.Slider(1, 16, value=4, step=1, label="max_turns")
        endpoint(api.ground, [video, lines, model, strategy, turns], gr.JSON(label="results"))
        endpoint(api.ask, [video, question, options, model, start, end, evidence], gr.JSON(label="reply"))
        endpoint(api.caption, [video, model, start, end], gr.JSON(label="reply"))
        endpoint(api.clip, [video, start, end], gr.File(label="clip"))
