"""The shapes that decide how large a model's cache is: of known models, and read from any `config.json`.

This file needs nothing but the standard library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


class ShapeError(ValueError):
    """A shape or a configuration that the arithmetic cannot use; the message is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What of a model decides how large its cache is.

    Attributes
    ----------
    layers, heads, kv_heads : layers, and in each the heads that ask and those that keep keys and values.
    head_size : numbers in a key or a value of one head; not always width / heads.
    context : positions the model was made for; None where no limit is named.
    parameters : numbers in its weights; None if unknown.
    window, windowed : positions that a sliding window keeps, and how many of the layers have one.
    latent, rope : multi-head latent attention keeps one vector of `latent` numbers a layer and position, and one
        of `rope` for the places, instead of keys and values; 0 for all other kinds.
    source : where the numbers are from.
    note : what could not be verified; empty when all could.
    """

    name: str
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    context: int | None = None
    parameters: int | None = None
    window: int | None = None
    windowed: int = 0
    latent: int = 0
    rope: int = 0
    source: str = ""
    note: str = ""

    def __post_init__(self):
        lows = {"layers": 1, "heads": 1, "kv_heads": 1, "head_size": 1, "windowed": 0, "latent": 0, "rope": 0}
        for name, low in lows.items() | {("context", 1), ("parameters", 1), ("window", 1)}:
            value = getattr(self, name)
            if value is None and name not in lows:
                continue
            if type(value) is not int or value < low:
                raise ShapeError(f"{name} = {value!r:.40} should be a whole number from {low} up.")
        if self.heads % self.kv_heads:
            raise ShapeError(f"{self.heads} query heads cannot be shared out evenly among {self.kv_heads} KV heads.")
        if self.windowed > self.layers:
            raise ShapeError(f"{self.windowed} layers with a window are more than the {self.layers} there are.")
        if self.windowed and self.window is None:
            raise ShapeError("Layers with a sliding window need its length.")
        if self.rope and not self.latent:
            raise ShapeError("Only latent attention keeps a vector for the places of its own: give its latent, too.")

    @property
    def key(self) -> str:
        """Name for the command line."""
        return re.sub(r"[^a-z0-9.]+", "-", self.name.lower()).strip("-")

    @property
    def kind(self) -> str:
        """Kind of attention: multi-head, grouped-query, multi-query or latent."""
        if self.latent:
            return "MLA"
        return "MHA" if self.kv_heads == self.heads else "MQA" if self.kv_heads == 1 else "GQA"

    @property
    def numbers(self) -> int:
        """Numbers that one layer keeps of one position."""
        return self.latent + self.rope if self.latent else 2 * self.kv_heads * self.head_size

    def kept(self, positions: int) -> int:
        """Positions kept, added up over the layers: one with a window forgets what has left it."""
        inside = min(positions, self.window) if self.window else positions
        return (self.layers - self.windowed) * positions + self.windowed * inside


# ---- what models are like ----

LITGPT = "LitGPT's table, made from the model's config.json"
NANO = "nanoGPT's table"
DEFAULT = "the default of transformers' configuration"
HUB = "config.json on the Hugging Face hub"


# Parameters are those of transformers' modules of these shapes; tests count them again.
PRESETS = {
    shape.key: shape
    for shape in (
        CacheShape("DistilGPT2", 6, 12, 12, 64, 1024, 81_912_576, source=HUB),
        CacheShape("GPT-2", 12, 12, 12, 64, 1024, 124_439_808, source=DEFAULT),
        CacheShape("GPT-2 medium", 24, 16, 16, 64, 1024, 354_823_168, source=NANO),
        CacheShape("GPT-2 large", 36, 20, 20, 64, 1024, 774_030_080, source=NANO),
        CacheShape("GPT-2 XL", 48, 25, 25, 64, 1024, 1_557_611_200, source=NANO),
        CacheShape("GPT-3 175B", 96, 96, 96, 128, 2048, 174_604_259_328, source="Megatron-LM's script for 175B"),
        CacheShape("OPT 13B", 40, 40, 40, 128, 2048, 12_853_473_280, source="Kwon et al. 2023 (vLLM), section 3"),
        CacheShape("Llama 2 7B", 32, 32, 32, 128, 4096, 6_738_415_616, source=LITGPT),
        CacheShape("Llama 2 13B", 40, 40, 40, 128, 4096, 13_015_864_320, source=LITGPT),
        CacheShape("Llama 2 70B", 80, 64, 8, 128, 4096, 68_976_648_192, source=LITGPT),
        CacheShape("Llama 3 8B", 32, 32, 8, 128, 8192, 8_030_261_248, source=LITGPT),
        CacheShape("Llama 3 70B", 80, 64, 8, 128, 8192, 70_553_706_496, source=LITGPT),
        CacheShape("Llama 3.1 8B", 32, 32, 8, 128, 131_072, 8_030_261_248, source=LITGPT),
        CacheShape("Llama 3.1 70B", 80, 64, 8, 128, 131_072, 70_553_706_496, source=LITGPT),
        CacheShape("Llama 3.1 405B", 126, 128, 8, 128, 131_072, 405_853_388_800, source=LITGPT),
        CacheShape("Mistral 7B", 32, 32, 8, 128, 32_768, 7_241_732_096, 4096, 32, source=f"v0.1, {DEFAULT}"),
        CacheShape("Mixtral 8x7B", 32, 32, 8, 128, 32_768, 46_702_792_704, source=DEFAULT),
        CacheShape("Qwen2.5 0.5B", 24, 14, 2, 64, 32_768, 494_032_768, source=LITGPT),
        CacheShape("Qwen2.5 1.5B", 28, 12, 2, 128, 32_768, 1_543_714_304, source=LITGPT,
                   note="context: 131,072 in the base model's configuration"),
        CacheShape("Qwen2.5 7B", 28, 28, 4, 128, 131_072, 7_615_616_512, source=LITGPT),
        CacheShape("Qwen2.5 72B", 80, 64, 8, 128, 131_072, 72_706_203_648, source=LITGPT),
        CacheShape("Gemma 2 2B", 26, 8, 4, 256, 8192, 2_614_341_888, 4096, 13, source=LITGPT),
        CacheShape("Gemma 2 9B", 42, 16, 8, 256, 8192, 9_241_705_984, 4096, 21, source=LITGPT),
        CacheShape("Gemma 2 27B", 46, 32, 16, 128, 8192, 27_227_128_320, 4096, 23, source=LITGPT),
        CacheShape("Gemma 3 1B", 26, 4, 1, 256, 32_768, 999_885_952, 512, 22, source=LITGPT,
                   note="context: 131,072 in LitGPT's table"),
        CacheShape("Gemma 3 4B", 34, 8, 4, 256, 131_072, 3_880_263_168, 1024, 29, source=LITGPT),
        CacheShape("Gemma 3 12B", 48, 16, 8, 256, 131_072, 11_766_034_176, 1024, 40, source=LITGPT),
        CacheShape("Gemma 3 27B", 62, 32, 16, 128, 131_072, 27_009_346_304, 1024, 52, source=LITGPT),
        CacheShape("DeepSeek-V2", 60, 128, 128, 128, 131_072, 235_741_434_880, latent=512, rope=64,
                   source="the paper's abstract and the published configuration"),
        CacheShape("DeepSeek-V3", 61, 128, 128, 128, 131_072, 671_026_404_352, latent=512, rope=64,
                   source=f"{DEFAULT}; context: its README"),
    )
}  # fmt: skip


# ---- any configuration of Hugging Face ----

# Families in which every head keeps its own keys and values, unless the configuration says otherwise.
MULTI_HEAD = {"codegen", "gpt2", "gpt_neo", "gpt_neox", "gptj", "llama", "opt"}
# Families in which a head's size is width / heads, unless the configuration says otherwise.
EVEN = MULTI_HEAD | {"mistral", "mixtral", "phi3", "qwen2", "qwen2_moe"}
NAMES = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "heads": ("num_attention_heads", "n_head", "num_heads"),
    "kv_heads": ("num_key_value_heads",),
    "width": ("hidden_size", "n_embd"),
    "head_size": ("head_dim",),
    "context": ("max_position_embeddings", "n_positions"),
}
# With one of these, layers differ in ways that this arithmetic does not know.
STRANGE = ("attn_layer_period", "block_configs", "layers_block_type", "hybrid_override_pattern", "ssm_cfg",
           "num_kv_shared_layers", "cla_share_factor", "attention_chunk_size", "per_layer_config")  # fmt: skip
REMEDY = "transformers writes all fields out: AutoConfig.from_pretrained(folder).to_json_file(path, use_diff=False)."


def from_config(config: Any, name: str = "") -> CacheShape:
    """Read the shape from a Hugging Face `config.json`; a ShapeError says what it lacks, and nothing is guessed."""
    if not isinstance(config, dict):
        raise ShapeError("A configuration is an object with named fields; this is something else.")
    if isinstance(inner := config.get("text_config"), dict):  # models that also see keep the writer's shape in here
        config = inner
    family = config.get("model_type", "")
    if not isinstance(family, str):
        raise ShapeError(f"model_type = {family!r:.40} should be the name of a family.")
    if config.get("is_encoder_decoder"):
        raise ShapeError(f"A {family} model has an encoder, too: its decoder keeps two caches, and this counts one.")
    for field in STRANGE:
        if config.get(field):
            raise ShapeError(f"The field {field} makes this model's layers differ in a way that is not counted here.")
    layers, heads = _number(config, "layers"), _number(config, "heads")
    common = {
        "name": name or config.get("_name_or_path") or family or "this configuration",
        "layers": layers,
        "heads": heads,
        "context": _number(config, "context", missing=None),
        "source": "config.json",
    }
    if config.get("kv_lora_rank") is not None:
        places = config.get("qk_rope_head_dim")
        if places is None:
            raise ShapeError(f"kv_lora_rank means latent attention, but there is no qk_rope_head_dim. {REMEDY}")
        size = config.get("v_head_dim") or _head_size(config, family, heads)
        return CacheShape(kv_heads=heads, head_size=size, latent=config["kv_lora_rank"], rope=places, **common)
    kv_heads = _number(config, "kv_heads", missing=heads if family in MULTI_HEAD else ...)
    window, windowed = _windows(config, family, layers)
    size = _head_size(config, family, heads)
    return CacheShape(kv_heads=kv_heads, head_size=size, window=window, windowed=windowed, **common)


def _number(config: dict, what: str, missing: Any = ...) -> Any:
    """First of the names that the configuration gives a value; a ShapeError if it gives none."""
    for name in NAMES[what]:
        if (value := config.get(name)) is not None:
            if type(value) is not int or value < 1:
                raise ShapeError(f"{name} = {value!r:.40} should be a whole number from 1 up.")
            return value
    if missing is ...:
        raise ShapeError(f"The configuration has no {' or '.join(NAMES[what])}. {REMEDY}")
    return missing


def _head_size(config: dict, family: str, heads: int) -> int:
    """Size of a head: said, or width / heads where that is the family's rule."""
    said = _number(config, "head_size", missing=None)
    if said or family not in EVEN:
        return said or _number(config, "head_size")
    width = _number(config, "width")
    if width % heads:
        raise ShapeError(f"{NAMES['width'][0]} = {width} cannot be divided among {heads} heads.")
    return width // heads


def _windows(config: dict, family: str, layers: int) -> tuple[int | None, int]:
    """Length of the sliding window, and how many layers have one."""
    window, types = config.get("sliding_window"), config.get("layer_types")
    if types is not None:
        known = isinstance(types, list) and all(each in ("full_attention", "sliding_attention") for each in types)
        if not known or len(types) != layers:
            raise ShapeError("layer_types should name full_attention or sliding_attention for every layer.")
        windowed = types.count("sliding_attention")
    elif window is None or config.get("use_sliding_window") is False:
        return None, 0
    elif family in ("mistral", "mixtral", "phi3"):
        windowed = layers
    elif family in ("gemma2", "gemma3_text"):
        period = config.get("sliding_window_pattern", 2 if family == "gemma2" else 6)
        if type(period) is not int or period < 1:
            raise ShapeError(f"sliding_window_pattern = {period!r:.40} should be a whole number from 1 up.")
        windowed = layers - layers // period
    else:
        raise ShapeError(f"There is a sliding_window, but no layer_types to say which layers have it. {REMEDY}")
    if windowed and (type(window) is not int or window < 1):
        raise ShapeError(f"sliding_window = {window!r:.40} should be a whole number from 1 up.")
    return (window, windowed) if windowed else (None, 0)
