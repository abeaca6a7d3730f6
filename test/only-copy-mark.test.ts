import { expect, test } from "bun:test";
import type { ActiveLayout } from "../src/core/active-layout.ts";
import { onlyCopyWorkers } from "../src/only-copy-mark.ts";
import { DataDirectoryError } from "../src/storage/data-directory-error.ts";
import { ReplicationCluster } from "./support/replication-cluster.ts";
import { recordingLogger } from "./support/store-bench.ts";

function layoutOf(nodes: number): ActiveLayout {
  const regions = Array.from({ length: nodes }, () => "eu");
  const layout = new ReplicationCluster(regions, nodes).node(0).replication.membership.layout();
  if (layout === undefined) throw new Error("want a layout");
  return layout;
}

function bench() {
  const { self } = new ReplicationCluster(["eu"], 1).node(0).replication;
  const disk = { isFull: false, written: [] as boolean[] };
  const setOnlyCopy = (isOnlyCopy: boolean): void => {
    if (disk.isFull) throw new DataDirectoryError("Cannot write identity.json: no room.");
    disk.written.push(isOnlyCopy);
  };
  const logger = recordingLogger();
  let adopt: (layout: ActiveLayout) => void = () => undefined;
  const onLayout = (listener: typeof adopt): void => {
    adopt = listener;
  };
  const [worker] = onlyCopyWorkers({ nodeId: self, setOnlyCopy }, logger, { onLayout });
  return { disk, logger, adopt: (layout: ActiveLayout) => adopt(layout), worker };
}

test("a mark that a full disk refuses holds up no layout, is told once, and is written when there is room", async () => {
  const { disk, logger, adopt, worker } = bench();
  disk.isFull = true;
  adopt(layoutOf(1));
  await worker?.step();
  expect(disk.written).toEqual([]);
  expect(logger.lines.map(({ event }) => event)).toEqual(["only-copy-not-written"]);
  disk.isFull = false;
  await worker?.step();
  expect(disk.written).toEqual([true]);
  await worker?.step();
  expect(disk.written).toEqual([true]);
});

test("the newest layout counts, whatever an earlier one asked for", async () => {
  const { disk, adopt, worker } = bench();
  disk.isFull = true;
  adopt(layoutOf(1));
  disk.isFull = false;
  adopt(layoutOf(3));
  await worker?.step();
  expect(disk.written).toEqual([false]);
});

test("without files there is nothing to write", () => {
  const { self } = new ReplicationCluster(["eu"], 1).node(0).replication;
  const onLayout = (): never => {
    throw new Error("nobody listens");
  };
  expect(onlyCopyWorkers({ nodeId: self }, recordingLogger(), { onLayout })).toEqual([]);
});
