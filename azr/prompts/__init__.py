"""How tasks become prompts and responses are read back; ``base`` is the contract of a prompt style."""

from typing import Any

from azr.errors import UserError
from azr.prompts.base import PromptStyle
from azr.prompts.compact import CompactStyle
from azr.prompts.paper import PaperStyle
from azr.prompts.plain import PlainStyle


def load_style(name: str, tokenizer: Any) -> PromptStyle:
    """The prompt style of that name: ``paper`` is plain text, as AZR prompts base models (many carry a chat template);
    ``paper-chat`` goes through the chat template of ``tokenizer`` (of transformers), and so does ``plain``, which asks
    for the bare answer.

    Raises UserError where there is no chat template.
    """
    if name in ("compact", "paper"):
        return CompactStyle() if name == "compact" else PaperStyle()
    if not tokenizer.chat_template:
        raise UserError("This model's tokenizer has no chat template: choose the prompt style paper.")
    return PlainStyle(tokenizer) if name == "plain" else PaperStyle(tokenizer)
