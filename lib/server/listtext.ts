/**
 * A JSON object with one list, a page at a time and one member for each line.
 * @param name of the list
 * @param reportOf what the list says of a member
 */
export async function* listText<Member>(
  name: string,
  pages: AsyncIterable<readonly Member[]>,
  reportOf: (member: Member) => unknown = (member) => member,
): AsyncIterable<string> {
  yield `{"${name}":[`;
  let separator = '\n';
  for await (const page of pages) {
    let lines = '';
    for (const member of page) {
      lines += separator + JSON.stringify(reportOf(member));
      separator = ',\n';
    }
    yield lines;
  }
  yield '\n]}\n';
}
