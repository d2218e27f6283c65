import { createHash, randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** The longest file, in bytes. */
const MAX_BYTES = 8 * 2 ** 30;
const MAX_NAME = 100;

/** What is wrong with an upload, and the status that says so. */
export class BadUpload extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** A folder of uploaded files. */
export class Store {
  constructor(folder) {
    this.folder = folder;
  }

  /**
   * Writes `chunks` into the file `name`, which is there when it is whole, and not before. `progress` hears after each chunk
   * how many bytes are written. Rejects, and leaves nothing behind, if the chunks break off.
   */
  async save(name, chunks, progress = () => {}) {
    if (!isPlain(name)) throw new BadUpload(400, 'that is no name for a file');
    const unfinished = join(this.folder, `.${randomUUID()}`);
    const hash = createHash('sha256');
    let bytes = 0;
    try {
      const file = await open(unfinished, 'wx', 0o600);
      try {
        for await (const chunk of chunks) {
          bytes += chunk.byteLength;
          if (bytes > MAX_BYTES) throw new BadUpload(413, 'the file is too long');
          hash.update(chunk);
          await file.writeFile(chunk);
          progress(bytes);
        }
      } finally {
        await file.close();
      }
      await rename(unfinished, join(this.folder, name));
    } catch (error) {
      await rm(unfinished, { force: true });
      throw error;
    }
    return { name, bytes, sha256: hash.digest('hex') };
  }
}

/** A name comes from outside: it must not lead anywhere, nor hide. */
function isPlain(name) {
  return name.length <= MAX_NAME && /^[^./\\\p{Cc}][^/\\\p{Cc}]*$/u.test(name);
}
