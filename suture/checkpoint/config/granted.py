"""What the classes of some model types take for granted where a config says nothing, as in transformers 5.17."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from suture.checkpoint.config.rules import DENSE, FULL, LINEAR, SLIDING, SPARSE

_S, _F, _L = SLIDING, FULL, LINEAR
Granted = Mapping[str, tuple[Sequence[str], Sequence[str]]]


def _granted(
    types: str, layer_types: Sequence[str] = (), *, first: Sequence[str] = (), dense: int = 0
) -> dict[str, Granted]:
    """Return what the classes of some types take for granted: these kinds first, then the cycle; dense layers."""
    said: dict[str, tuple[Sequence[str], Sequence[str]]] = {}
    if layer_types:
        said["layer_types"] = (first, layer_types)
    if dense:
        said["mlp_layer_types"] = ([DENSE] * dense, [SPARSE])
    return dict.fromkeys(types.split(), said)


GRANTED: Mapping[str, Granted] = {
    **_granted("afmoe cohere2 cohere2_moe exaone4 olmo3 muse_glimmer_text", (_S, _S, _S, _F)),
    **_granted("qwen3_next qwen3_5_text qwen3_5_moe_text olmo_hybrid", (_L, _L, _L, _F)),
    **_granted("gemma2 gpt_oss vaultgemma", (_S, _F)),
    **_granted("gemma3_text", (_S, _S, _S, _S, _S, _F)),
    **_granted("cwm granite_swa granitemoe_swa", (_F, _S, _S, _S)),
    **_granted("modernbert-decoder", (_F, _S, _S)),
    **_granted("minimax", (_F, _L)),
    **_granted("exaone_moe", (_S, _S, _S, _F), dense=1),
    **_granted("kimi_linear", (_F, _L, _L, _L), first=[_L], dense=1),
    **_granted("mimo_v2_flash", (_S, _S, _S, _S, _S, _F), first=[_F], dense=1),
    **_granted("axk2 ernie4_5_vl_moe_text glm4_moe_lite hy_v3 laguna", dense=1),
    **_granted("deepseek_v32 glm_moe_dsa", dense=3),
    **_granted("glm5_next_text", (_L, _L, _L, "deepseek_sparse_attention"), dense=3),
    **_granted("qwen4_exp_text", (_L, _L, _L, "qwen_sparse_attention")),
    **_granted("inkling_text", (*("hybrid_sliding",) * 5, "hybrid")),
    "hy_v4": {
        "indexer_types": (["full"], ("shared", "full", "shared", "shared")),
        "mlp_layer_types": ([DENSE], [SPARSE]),
    },
}
"""Model type -> field -> what its class takes for granted where the config has neither the field nor a rule: first
these entries, then, by the layer's number, those of the cycle."""
