"""The language models an agent may name. Vendor page: agents API, "List available LLMs"; ids as of SDK 2.78."""

from __future__ import annotations

from typing import Any

__all__ = ["LLMS", "llm_list"]

_FAMILIES = {
    "claude": "3-7-sonnet 3-haiku haiku-4-5 haiku-5-5 opus-4-6 opus-4-7 opus-4-8 opus-5 opus-5-5 sonnet-4 sonnet-4-5 "
    "sonnet-4-6 sonnet-5 sonnet-5-5",
    "gemini": "1.5-flash 1.5-pro 2.0-flash 2.0-flash-001 2.0-flash-lite 2.0-flash-lite-001 2.5-flash 2.5-flash-lite "
    "2.5-flash-preview-09-2025 3-flash-preview 3-pro-preview 3.1-flash-lite 3.1-pro-preview 3.5-flash 3.5-flash-lite "
    "3.6-flash 3.7-flash 3.8-flash 4-argon",
    "gpt": "4 4-turbo 4.1 4.1-2025-04-14 4.1-mini 4.1-nano 4o 4o-2024-11-20 4o-mini 4o-mini-2024-07-18 5 5-2025-08-07 "
    "5-mini 5-nano 5.1 5.2 5.2-chat-latest 5.4 5.4-mini 5.4-nano 5.5 5.6-luna 5.6-sol 5.6-terra 6-astra 6-luna 6-sol "
    "6.1-sol 6.1-terra oss-20b oss-120b",
    "qwen3": "4b 30b-a3b",
}

LLMS = frozenset(
    [f"{family}-{name}" for family, names in _FAMILIES.items() for name in names.split()]
    + ["qwen35-397b-a17b", "qwen36-35b-a3b", "glm-45-air-fp8", "glm-52", "grok-beta", "custom-llm"]
)


def llm_list() -> dict[str, Any]:
    """``GET /v1/convai/llm/list``. Limits and abilities are placeholders: the emulator runs no model."""
    deprecation = {
        "warning_start_days": 30,
        "fallback_start_days": 14,
        "fallback_complete_days": 0,
        "fallback_start_percentage": 10,
        "fallback_complete_percentage": 100,
    }
    models = [
        {
            "llm": name,
            "is_checkpoint": name.rpartition("-")[2].isdigit() and len(name.rpartition("-")[2]) == 2 and "-20" in name,
            "max_tokens_limit": 8192,
            "max_context_limit": 1_048_576,
            "supports_image_input": False,
            "supports_document_input": False,
            "supports_parallel_tool_calls": True,
            "available_reasoning_efforts": None,
            "available_service_tiers": ["standard"],
            "deprecation_info": None,
        }
        for name in sorted(LLMS)
    ]
    return {"llms": models, "default_deprecation_config": deprecation}
