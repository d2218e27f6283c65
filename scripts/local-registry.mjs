// A registry on the loopback interface that has nothing but this package and its platform packages, as they are after a
// release: package managers then install what a user's `install trilane` will. An ordinary registry would be asked for
// platform packages that are not published yet, or for those of an older release, and tarballs given by path
// can neither be optional dependencies nor be installed by Deno.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { npmQuietly, ROOT, StepError } from './steps.mjs';

/** When the versions say that they were published: package managers may refuse versions of the last days. */
const PUBLISHED = '2020-01-01T00:00:00.000Z';

/**
 * Packs the package and its platform packages into `folder`; those of other platforms without their binary. Some package
 * managers fetch these too: yarn 1 all of them, Deno those of both C libraries.
 *
 * @returns {Promise<{ manifest: object, tarball: Buffer }[]>}
 */
export async function packAll(folder) {
  const platforms = allPlatforms().map((platform) => ({ ...platform, staged: join(folder, platform.name) }));
  const here = platforms.find(({ name }) => name === platformHere().name);
  for (const { source, staged } of platforms) {
    cpSync(source, staged, { recursive: true });
  }
  cpSync(join(ROOT, here.manifest.main), join(here.staged, here.manifest.main));
  const root = { staged: join(folder, 'root'), manifest: releasedManifest(platforms) };
  await stageRoot(root);
  const all = [root, ...platforms];
  const packed = JSON.parse(
    await npmQuietly([
      'pack',
      '--json',
      '--ignore-scripts',
      '--pack-destination',
      folder,
      ...all.map(({ staged }) => staged),
    ]),
  );
  return all.map(({ manifest }) => {
    const { filename } = packed.find(({ name }) => name === manifest.name);
    return { manifest, tarball: readFileSync(join(folder, filename)) };
  });
}

/** Serves `packages` until it is closed. */
export async function serveRegistry(packages) {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname).slice(1);
    const origin = `http://${request.headers.host}`;
    const [name, file] = path.split('/-/');
    const found = packages.find(({ manifest }) => manifest.name === name);
    if (found === undefined) {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"not found"}');
    } else if (file === undefined) {
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify(packument(found, origin)));
    } else {
      response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(found.tarball);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

/** The platform package of this machine: its folder under npm/ and its manifest. Throws StepError without its binary. */
export function platformHere() {
  const here = allPlatforms().find(({ manifest }) => isHere(manifest));
  if (here === undefined || !existsSync(join(ROOT, here.manifest.main))) {
    throw new StepError(`no trilane.*.node for ${process.platform}-${process.arch} is beside package.json.`);
  }
  return here;
}

function allPlatforms() {
  return readdirSync(join(ROOT, 'npm')).map((name) => ({
    name,
    source: join(ROOT, 'npm', name),
    manifest: manifestOf(`npm/${name}`),
  }));
}

/** package.json as `napi pre-publish` leaves it. */
function releasedManifest(platforms) {
  const optionalDependencies = Object.fromEntries(
    platforms.map(({ manifest: { name, version } }) => [name, version]),
  );
  return { ...manifestOf('.'), optionalDependencies };
}

/** Copies what would be published, with the manifest of a release. */
async function stageRoot({ staged, manifest }) {
  const [{ files }] = JSON.parse(await npmQuietly(['pack', '--dry-run', '--json', '--ignore-scripts', ROOT]));
  for (const { path } of files) {
    mkdirSync(dirname(join(staged, path)), { recursive: true });
    cpSync(join(ROOT, path), join(staged, path));
  }
  writeFileSync(join(staged, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

function packument({ manifest, tarball }, origin) {
  const { name, version } = manifest;
  const file = `${name.split('/').at(-1)}-${version}.tgz`;
  const dist = {
    tarball: `${origin}/${name}/-/${file}`,
    integrity: `sha512-${createHash('sha512').update(tarball).digest('base64')}`,
    shasum: createHash('sha1').update(tarball).digest('hex'),
  };
  return {
    name,
    'dist-tags': { latest: version },
    time: { created: PUBLISHED, modified: PUBLISHED, [version]: PUBLISHED },
    versions: { [version]: { ...manifest, _id: `${name}@${version}`, dist } },
  };
}

function isHere({ os, cpu, libc }) {
  return (
    os.includes(process.platform) && cpu.includes(process.arch) && (libc?.includes(machineLibc()) ?? true)
  );
}

function machineLibc() {
  return process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc';
}

function manifestOf(folder) {
  return JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'));
}
