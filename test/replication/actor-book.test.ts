import { describe, expect, test } from "bun:test";
import { type ActorId, actorIdFromBytes, parseNodeId } from "../../src/core/ids.ts";
import type { MetaStore } from "../../src/env/meta-store.ts";
import { ActorBook } from "../../src/replication/actor-book.ts";

const SELF = parseNodeId("a".repeat(32));
const OTHER = parseNodeId("b".repeat(32));
const actor = (number: number): ActorId => actorIdFromBytes(new Uint8Array(16).fill(number));
const ignore = (): void => undefined;
const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function fakeMeta(): MetaStore {
  const values = new Map<string, Uint8Array>();
  return {
    get: (name) => values.get(name),
    set: (name, value) => void values.set(name, value),
    setAll: (all) => {
      for (const [name, value] of all) values.set(name, value);
    },
    delete: (name) => void values.delete(name),
    names: (prefix) => [...values.keys()].filter((name) => name.startsWith(prefix)).sort(),
  };
}

function open(meta: MetaStore, actorId: ActorId, incarnation: number): ActorBook {
  return new ActorBook({ meta, logger, self: SELF, actorId, incarnation });
}

describe("an actor's generation", () => {
  test("is the boot counter at which the actor was first used, and stays while the actor does", () => {
    const meta = fakeMeta();
    expect(open(meta, actor(1), 3).own).toEqual({ actor: actor(1), generation: 3 });
    expect(open(meta, actor(1), 9).own.generation).toBe(3);
  });

  test("rises with a new actor, also when the boot counter was lost", () => {
    const meta = fakeMeta();
    open(meta, actor(1), 7);
    expect(open(meta, actor(2), 1).own).toEqual({ actor: actor(2), generation: 8 });
  });

  test("rises with each loss, durably", () => {
    const meta = fakeMeta();
    open(meta, actor(1), 3).raise();
    expect(open(meta, actor(1), 3).own.generation).toBe(4);
  });

  test("goes above that of a database before it which others remember", () => {
    const book = open(fakeMeta(), actor(2), 1);
    expect(book.learn(SELF, { actor: actor(1), generation: 40 })).toBe(false);
    expect(book.own).toEqual({ actor: actor(2), generation: 41 });
    expect(book.learn(SELF, { actor: actor(1), generation: 40 })).toBe(false);
    expect(book.own.generation).toBe(41);
  });
});

describe("what is known of others", () => {
  test("is durable, and only ever newer", () => {
    const meta = fakeMeta();
    const book = open(meta, actor(1), 1);
    expect(book.learn(OTHER, { actor: actor(8), generation: 5 })).toBe(true);
    expect(book.learn(OTHER, { actor: actor(8), generation: 5 })).toBe(true);
    expect(book.learn(OTHER, { actor: actor(9), generation: 5 })).toBe(false);
    expect(book.learn(OTHER, { actor: actor(7), generation: 4 })).toBe(false);
    expect(open(meta, actor(1), 2).generationOf(OTHER)).toBe(5);
  });

  test("shows in the acks of its units at once", () => {
    const book = open(fakeMeta(), actor(1), 2);
    const homes = [OTHER, SELF];
    expect(book.generationsOf(homes)).toEqual([0, 2]);
    expect(book.generationsOf(homes)).toBe(book.generationsOf(homes));
    book.learn(OTHER, { actor: actor(8), generation: 5 });
    expect(book.generationsOf(homes)).toEqual([5, 2]);
  });

  test("is forgotten, and not misread, when its entry is damaged", () => {
    const meta = fakeMeta();
    open(meta, actor(1), 1).learn(OTHER, { actor: actor(8), generation: 5 });
    meta.set(`actor-of/${OTHER}`, new Uint8Array(3));
    expect(open(meta, actor(1), 2).generationOf(OTHER)).toBe(0);
  });
});
