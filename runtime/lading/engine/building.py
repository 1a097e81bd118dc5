"""Builds in this engine: where they keep what they need, and the cache of their mounts."""

from __future__ import annotations

from dataclasses import dataclass

from lading.build.caches import Caches
from lading.build.context import Context
from lading.build.contracts import BuildOptions, Report
from lading.build.executor import Executor
from lading.engine.buildhost import BuildHost, BuildParts, BuildSettings
from lading.engine.containers import Containers
from lading.engine.images import Images
from lading.engine.settings import Settings
from lading.engine.transfers import Transfers
from lading.errors import LadingError
from lading.files import explaining
from lading.image.store import Image
from lading.storage import trees
from lading.storage.layers import LayerStore


@dataclass(kw_only=True, slots=True)
class Building(BuildParts):
    """Builds images in this engine, each with a `BuildHost` of its own."""

    @classmethod
    def at(
        cls,
        settings: Settings,
        containers: Containers,
        images: Images,
        layers: LayerStore,
        transfers: Transfers,
    ) -> Building:
        """Give the builder its directories below the engine's."""
        root = settings.root / "buildcache"
        return cls(
            containers=containers,
            images=images,
            layers=layers,
            transfers=transfers,
            caches=Caches(root / "mounts"),
            files=root / "tmp",
            memory=settings.run / "builds",
        )

    def open(self) -> None:
        """Make the directories, and remove what a crash left of builds."""
        for place in (self.files, self.memory):
            with explaining(f"prepare {place} for builds"):
                place.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
                trees.remove_at(place)
                place.mkdir(mode=0o711)
        self.caches.sweep()

    async def build(
        self,
        context: Context,
        agents: dict[str, str],
        options: BuildOptions,
        settings: BuildSettings,
        report: Report,
    ) -> Image:
        """Build from a context; see `lading.build.executor.Executor.build`.

        Containers of a build that fails are left, as Docker leaves them, unless `settings` say not.
        """
        host = self._host(settings)
        try:
            return await Executor(self.images.store, host, options, report).build(context, agents)
        except LadingError:
            if settings.force_remove:
                await host.remove_kept(report)
            raise

    def _host(self, settings: BuildSettings) -> BuildHost:
        return BuildHost(
            containers=self.containers,
            images=self.images,
            layers=self.layers,
            transfers=self.transfers,
            caches=self.caches,
            files=self.files,
            memory=self.memory,
            settings=settings,
        )
