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

    Raises UserError for an unknown name, and where there is no chat template.
    """
    styles = {"compact": CompactStyle, "paper": PaperStyle, "paper-chat": PaperStyle, "plain": PlainStyle}
    if name not in styles:
        raise UserError(f"There is no prompt style '{name}': choose one of {', '.join(styles)}.")
    through_template = name in ("paper-chat", "plain")
    if through_template and not tokenizer.chat_template:
        raise UserError("This model's tokenizer has no chat template: choose the prompt style paper.")
    return styles[name](tokenizer) if through_template else styles[name]()
