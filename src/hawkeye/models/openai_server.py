"""Any OpenAI-compatible server (vLLM, SGLang, llama.cpp, Ollama, ...) as a `VideoLanguageModel`.

Frames go as JPEG pictures inside the message. Option probabilities come from the log-probabilities of the first token where
the server gives them, otherwise from the letter in its reply. Nothing but the standard library is needed.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hawkeye.choices import letter, read_reply
from hawkeye.errors import ConfigError, ModelError
from hawkeye.models.base import Answer, Look

LETTER_REQUEST = "Answer with the letter of the best option only."
RETRY_STATUS = (408, 409, 429, 500, 502, 503, 504)
MISSING = -30.0  # log-probability of an option that the server does not list


class OpenAIServer:
    """``url`` is the API's root, such as ``http://localhost:8000/v1``. The key is read from OPENAI_API_KEY if it is set."""

    def __init__(
        self,
        url: str,
        model: str | None = None,
        num_frames: int = 12,
        short_side: int = 336,
        parallel: int = 8,
        timeout: float = 120.0,
        retries: int = 3,
    ) -> None:
        self.url, self.num_frames, self.short_side = url.rstrip("/"), num_frames, short_side
        self.parallel, self.timeout, self.retries = parallel, timeout, retries
        self.model = model or self._first_model()
        self.name = f"openai:{self.model}"

    def score(self, looks: Sequence[Look]) -> list[list[float]]:
        """Log-probability of each option (B lists). Raises ModelError if the server fails."""
        return [list(reply.log_probs) for reply in self.answer(looks)]

    def answer(self, looks: Sequence[Look]) -> list[Answer]:
        with ThreadPoolExecutor(self.parallel) as pool:
            return list(pool.map(self._answer, looks))

    def generate(self, looks: Sequence[Look], max_new_tokens: int = 100) -> list[str]:
        with ThreadPoolExecutor(self.parallel) as pool:
            return list(pool.map(lambda look: self._ask(look, "", max_new_tokens, False)[0], looks))

    def _answer(self, look: Look) -> Answer:
        text, top = self._ask(look, LETTER_REQUEST, 8, True)
        index = read_reply(text, look.options, lenient=True)
        letters = [letter(i) for i in range(len(look.options))]
        found = [max((lp for token, lp in top if token == name), default=MISSING) for name in letters]
        if max(found) <= MISSING:  # no log-probabilities: all on the option that the reply names
            found = (
                [0.0 if i == index else MISSING for i in range(len(found))] if index is not None else [0.0] * len(found)
            )
        total = math.log(sum(math.exp(lp) for lp in found))
        return Answer(tuple(lp - total for lp in found), index, text)

    def _ask(self, look: Look, request: str, max_tokens: int, log_probs: bool) -> tuple[str, list[tuple[str, float]]]:
        """The reply's text, and (letter, log-probability) of the alternatives to its first token that are letters."""
        prompt = look.prompt
        question = "\n".join(
            part.strip() for part in (prompt.message, prompt.question, request or prompt.request) if part
        )
        content: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": url}} for url in frame_urls(look, self.short_side)
        ]
        content.append({"type": "text", "text": question})
        messages = [{"role": "user", "content": content}]
        if prompt.instruction.strip():
            messages.insert(0, {"role": "system", "content": prompt.instruction.strip()})
        body: dict[str, Any] = {"model": self.model, "messages": messages, "max_tokens": max_tokens, "temperature": 0}
        if log_probs:
            body |= {"logprobs": True, "top_logprobs": 20}
        reply = self._call("/chat/completions", body)
        try:
            choice = reply["choices"][0]
            text = choice["message"]["content"] or ""
            content = (choice.get("logprobs") or {}).get("content") or []
            return text, _letters(content)
        except (KeyError, IndexError, TypeError):
            raise ModelError(f"{self.url}: the reply has no choices[0].message: {json.dumps(reply)[:200]}") from None

    def _first_model(self) -> str:
        try:
            return str(self._call("/models", None)["data"][0]["id"])
        except (KeyError, IndexError, TypeError):
            raise ModelError(f"{self.url}/models lists no model: name one after #, as in {self.url}#my-model") from None

    def _call(self, path: str, body: dict[str, Any] | None) -> Any:
        """POST (or GET without a body), again a few times with growing pauses while the server is busy."""
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(self.retries + 1):
            last = attempt == self.retries
            try:
                request = urllib.request.Request(self.url + path, data, headers)
                with urllib.request.urlopen(request, timeout=self.timeout) as response:
                    return json.loads(response.read())
            except urllib.error.HTTPError as error:
                if last or error.code not in RETRY_STATUS:
                    detail = error.read().decode(errors="replace")[:300]
                    raise ModelError(f"{self.url}{path}: HTTP {error.code}: {detail}") from None
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                if last:
                    reason = getattr(error, "reason", error)
                    raise ModelError(f"{self.url}{path}: no answer ({reason}): is the server running there?") from None
            except json.JSONDecodeError:
                raise ModelError(
                    f"{self.url}{path}: the answer is not JSON: is this an OpenAI-compatible server?"
                ) from None
            time.sleep(min(8.0, 0.5 * 2**attempt))
        raise AssertionError("unreachable")


def frame_urls(look: Look, short_side: int) -> list[str]:
    """The look's frames as JPEG data URLs, scaled down so that the shorter side has at most ``short_side`` pixels."""
    from PIL import Image

    urls = []
    for pixels in look.frames.pixels:
        picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().cpu().numpy())
        scale = short_side / min(picture.size)
        if scale < 1:
            picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=85)
        urls.append("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode())
    return urls


def _letters(tokens: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Alternatives at the first token position that holds a letter on its own (some servers open with a bracket or blank)."""
    for token in tokens:
        listed = token.get("top_logprobs") or [token]
        found = [(str(t["token"]).strip(" \n()."), float(t["logprob"])) for t in listed]
        if len(str(token.get("token", "")).strip(" \n().")) == 1:
            return [(name.upper(), lp) for name, lp in found if len(name) == 1 and name.isalpha()]
    return []


def load(
    weights: str | None = None, device: str = "auto", dtype: str = "auto", num_frames: int = 12, **options: Any
) -> OpenAIServer:
    """``weights`` is ``http://host:port/v1`` or ``http://host:port/v1#model-name``. Raises ConfigError, ModelError."""
    if not weights or not str(weights).startswith(("http://", "https://")):
        raise ConfigError("model openai needs --weights http://host:port/v1, optionally #model-name after it")
    if options.pop("decoding", "best") != "best":
        raise ConfigError("model openai knows --decoding best only")
    url, _, model = str(weights).partition("#")
    return OpenAIServer(url, model or None, num_frames, **options)
