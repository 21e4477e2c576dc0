// Memory of this process once its garbage is gone.

/** Collected several times: what a collection frees outside of the heap is counted a moment later. Wants --expose-gc. */
export async function settled(): Promise<NodeJS.MemoryUsage> {
  for (let i = 0; i < 4; i++) {
    (globalThis as { gc?: () => void }).gc?.();
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  return process.memoryUsage();
}
