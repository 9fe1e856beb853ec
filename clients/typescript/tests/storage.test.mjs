import assert from "node:assert/strict";
import test from "node:test";
import { IDBFactory } from "fake-indexeddb";
import { memoryStorage } from "../dist/index.js";
import { indexedDbStorage } from "../dist/storage/indexed_db.js";
import { localStorageStorage } from "../dist/storage/local_storage.js";

/** The part of `localStorage` in use. */
function webStorage() {
  const values = new Map();
  return {
    get length() {
      return values.size;
    },
    key: (index) => [...values.keys()][index] ?? null,
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: (key) => void values.delete(key),
  };
}

const adapters = {
  memory: () => memoryStorage(),
  localStorage: () => localStorageStorage("chat:", webStorage()),
  IndexedDB: () => indexedDbStorage("chat", new IDBFactory()),
};

for (const [name, make] of Object.entries(adapters)) {
  test(`${name} keeps, lists and removes values`, async () => {
    const storage = make();
    assert.equal(await storage.get("a/1"), null);
    await storage.set("a/1", "one");
    await storage.set("a/1", "uno");
    await storage.set("a/2", "two");
    await storage.set("b/1", "other");
    assert.equal(await storage.get("a/1"), "uno");
    assert.deepEqual([...(await storage.keys("a/"))].sort(), ["a/1", "a/2"]);
    await storage.remove("a/1");
    await storage.remove("missing");
    assert.deepEqual(await storage.keys("a/"), ["a/2"]);
  });
}

test("prefixes separate two users in one localStorage", async () => {
  const shared = webStorage();
  const [left, right] = [localStorageStorage("left:", shared), localStorageStorage("right:", shared)];
  left.set("tokens", "l");
  assert.equal(right.get("tokens"), null);
  assert.deepEqual(right.keys(""), []);
});

test("values in IndexedDB survive a reload", async () => {
  const factory = new IDBFactory();
  await indexedDbStorage("chat", factory).set("a", "1");
  assert.equal(await indexedDbStorage("chat", factory).get("a"), "1");
});
