/** The Service could not be asked, so there is no result. The message says what to do. */
export class NotMeasured extends Error {
  override readonly name = 'NotMeasured';
}
