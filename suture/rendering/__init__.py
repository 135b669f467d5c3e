"""Chat templates, rendered where they can do no harm: in a process with little memory, little time and no way out.

A template comes with a model that somebody made. Jinja's sandbox keeps it from calling what it should not, but not
from filling the memory or running for ever.

    renderer.py   starts the process, asks it, and ends it when it takes too long
    worker.py     the process: limits itself, then renders what it is asked for

    with rendering(template, where) as render:          # one process for many conversations
        text = render(messages, "file.jsonl, line 3", prompt=True)

    text = render_limited(template, messages, where)    # one conversation
"""

from suture.rendering.renderer import Limits, Message, Renderer, render_limited, rendering

__all__ = ["Limits", "Message", "Renderer", "render_limited", "rendering"]
