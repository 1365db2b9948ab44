/** Fills the cache of images for the test. scripts/provisions.js says what the exit status means. */
import { NoDockerError } from './docker.js';
import { buildImages } from './image.js';

const CANNOT_BE_HAD = 77;

try {
  await buildImages();
} catch (error) {
  if (!(error instanceof NoDockerError)) throw error;
  process.stderr.write(`the container image cannot be built: ${error.message}\n`);
  process.exitCode = CANNOT_BE_HAD;
}
