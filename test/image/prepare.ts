/** Fills the cache of images, so that the test need not: see scripts/test.sh. */
import { buildImages } from './image.js';

await buildImages();
