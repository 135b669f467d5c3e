"""Requests and answers as inspect_ai has them, and back."""

from __future__ import annotations

import json

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    Content,
    ContentReasoning,
    ContentText,
    ModelOutput,
    ModelUsage,
    StopReason,
)
from inspect_ai.tool import ToolCall as InspectCall
from inspect_ai.tool import ToolInfo, ToolParams

from suture.bench.suite import Answer, Message, Request, Timing, Tool, ToolCall
from suture.bench.suite.calls import arguments_of

_FINISH: dict[StopReason, str] = {"max_tokens": "length"}
"""Where inspect_ai calls it otherwise than the OpenAI API does."""
_STOP: dict[str, StopReason] = {
    "stop": "stop",
    "length": "max_tokens",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}


def messages_of(request: Request) -> list[ChatMessage]:
    """Return a request's conversation."""
    names = {call.id: call.name for message in request.messages for call in message.tool_calls}
    return [_message(message, names.get(message.tool_call_id)) for message in request.messages]


def _message(message: Message, answered: str | None) -> ChatMessage:
    match message.role:
        case "system":
            return ChatMessageSystem(content=message.content)
        case "user":
            return ChatMessageUser(content=message.content)
        case "assistant":
            return ChatMessageAssistant(content=message.content, tool_calls=_calls(message.tool_calls))
        case "tool":
            return ChatMessageTool(content=message.content, tool_call_id=message.tool_call_id, function=answered)


def _calls(calls: tuple[ToolCall, ...]) -> list[InspectCall] | None:
    return [_call(call) for call in calls] or None


def _call(call: ToolCall) -> InspectCall:
    arguments = arguments_of(call)
    if arguments is None:
        return InspectCall(id=call.id, function=call.name, arguments={}, parse_error=call.arguments)
    return InspectCall(id=call.id, function=call.name, arguments=dict(arguments))


def tools_of(request: Request) -> list[ToolInfo]:
    """Return the tools that a request offers."""
    return [_tool(tool) for tool in request.tools]


def _tool(tool: Tool) -> ToolInfo:
    # inspect_ai forbids further properties where a schema does not say
    schema = {"additionalProperties": None, **tool.parameters}
    return ToolInfo(name=tool.name, description=tool.description, parameters=ToolParams.model_validate(schema))


def answer_of(output: ModelOutput) -> Answer:
    """Return what a model said through inspect_ai."""
    if output.error or not output.choices or output.stop_reason == "model_length":
        return Answer(output.completion, failure="server_error", detail=output.error or output.completion)
    message = output.choices[0].message
    return Answer(
        text=message.text,
        thinking=_thinking(message),
        tool_calls=tuple(map(_called, message.tool_calls or ())),
        finish=_FINISH.get(output.stop_reason, output.stop_reason),
        timing=Timing(
            seconds=output.time or 0.0,
            prompt_tokens=output.usage.input_tokens if output.usage else None,
            tokens=output.usage.output_tokens if output.usage else None,
        ),
    )


def _thinking(message: ChatMessageAssistant) -> str:
    parts = [] if isinstance(message.content, str) else message.content
    return "".join(part.reasoning for part in parts if isinstance(part, ContentReasoning))


def _called(call: InspectCall) -> ToolCall:
    # arguments that are no JSON come as an error; text that is no JSON either says the same to a scorer
    return ToolCall(call.id, call.function, call.parse_error or json.dumps(call.arguments, ensure_ascii=False))


def output_of(answer: Answer, model: str) -> ModelOutput:
    """Return a recorded answer as inspect_ai would have got it."""
    content: list[Content] = [ContentReasoning(reasoning=answer.thinking)] if answer.thinking else []
    message = ChatMessageAssistant(
        content=[*content, ContentText(text=answer.text)] if content else answer.text,
        tool_calls=_calls(answer.tool_calls),
        model=model,
        source="generate",
    )
    timing = answer.timing
    prompt, said = timing.prompt_tokens or 0, timing.tokens or 0
    return ModelOutput(
        model=model,
        choices=[ChatCompletionChoice(message=message, stop_reason=_STOP.get(answer.finish, "unknown"))],
        usage=ModelUsage(input_tokens=prompt, output_tokens=said, total_tokens=prompt + said),
        time=timing.seconds,
        error=f"{answer.failure}: {answer.detail}" if answer.failure else None,
    )
