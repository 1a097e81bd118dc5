"""Names of containers: which ones are allowed, and random ones for those without."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from lading.errors import InvalidParameter

if TYPE_CHECKING:
    from collections.abc import Container

_PATTERN = r"[a-zA-Z0-9][a-zA-Z0-9_.-]"
_NAME = re.compile(_PATTERN + "+")

_ADJECTIVES = (
    "able amber ample ancient apt awake balmy beamy bold brave breezy bright brisk broad buoyant "
    "calm candid careful cheerful clear clever coastal crisp curious daring deep distant dry eager "
    "early earnest easy even fair famous fast fearless fine firm fleet fond free fresh friendly "
    "gallant gentle glad golden good grand handy happy hardy hearty helpful honest hopeful humble "
    "jaunty jolly keen kind level light likely lively lofty loyal lucid lucky mellow merry mighty "
    "mild misty modest natty neat nimble noble northern open patient placid plain pleasant polite "
    "proud quick quiet rapid ready robust rosy salty sandy serene sharp silent silver simple sleek "
    "smart smooth snug sober solid sound southern spry stable starlit steady stout sturdy sunny "
    "sure swift tall tidal tidy trim true trusty upbeat vast vivid warm western wide willing windy "
    "wise witty worthy zealous"
)

_NOUNS = (
    "albatross anchor atoll auk ballast barge bark barque beacon berth bilge boom bosun bow brig "
    "bulwark bunker buoy capstan caravel cargo catamaran chandler channel chart clipper coaster "
    "cog collier compass cooper cormorant coxswain crane crate cutter davit deck derrick dhow dock "
    "dolphin dory draught dredger eddy ensign fairway fathom felucca fender ferry fjord flagship "
    "flotilla forecastle freighter frigate furling galleon galley gannet gantry gull gunwale gybe "
    "halyard harbour hatch hawser headland helm hold hull inlet islet jetty jib junk kayak keel "
    "ketch knot lagoon landfall lanyard lateen launch lifeboat lighter lighthouse locker log "
    "longshore lugger manifest mariner marlin mast mizzen mole mooring narwhal navigator offing "
    "osprey packet paddle pelican pennant petrel pier pilot pinnace plimsoll porpoise port pram "
    "prow puffin purser quay raft rigger roadstead rudder sail salvor schooner sculler seal "
    "sextant shanty shoal skiff skipper slipway sloop smack sounding spar spinnaker starboard "
    "steamer stern stevedore stowage strait swell tanker tern tether tide tiller trawler trimaran "
    "tugboat vessel voyage wake walrus watch wharf wherry whistle winch windlass xebec yacht yard "
    "yawl"
)


def check(name: str) -> str:
    """Give a name without its leading slash; raises InvalidParameter if it is not allowed."""
    bare = name.removeprefix("/")
    if _NAME.fullmatch(bare) is None:
        raise InvalidParameter(f"Invalid container name ({name}), only {_PATTERN} are allowed")
    return bare


def generate(taken: Container[str]) -> str:
    """Make up a name that is not taken: an adjective and a noun, and a number if need be."""
    for attempt in range(8):
        words = [random.choice(text.split()) for text in (_ADJECTIVES, _NOUNS)]  # noqa: S311 - no secret
        name = "_".join(words)
        if attempt:
            name += str(random.randrange(10**attempt))  # noqa: S311 - no secret
        if name not in taken:
            return name
    raise InvalidParameter("no free name was found for the container; give it one with --name")
