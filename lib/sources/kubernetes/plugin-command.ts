/** A credential plug-in, as a kubeconfig names it. */
export interface PluginCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the environment of this process. */
  readonly env: Readonly<Record<string, string>>;
}

/** The field `exec` of a kubeconfig's user, not checked yet. */
export interface RawExec {
  readonly command?: unknown;
  readonly args?: unknown;
  readonly env?: unknown;
}

/**
 * Checks the field `exec` of a kubeconfig's user.
 *
 * @param fail gets the field and what is wrong, but no value, because values may be secrets
 */
export function readPluginCommand(exec: RawExec, fail: (message: string) => never): PluginCommand {
  const { command, args, env } = exec;
  if (!isArgument(command) || command === '') return fail('command: missing, or not a string');
  const list = args ?? [];
  if (!Array.isArray(list) || !list.every(isArgument)) return fail('args: not a list of strings');
  const variables = env ?? [];
  if (!Array.isArray(variables) || !variables.every(isVariable))
    return fail('env: not a list of name and value');
  return { command, args: list, env: Object.fromEntries(variables.map(({ name, value }) => [name, value])) };
}

/** For execve(2), a null byte is the end of an argument. */
function isArgument(value: unknown): value is string {
  return typeof value === 'string' && !value.includes('\0');
}

function isVariable(value: unknown): value is { readonly name: string; readonly value: string } {
  const { name, value: text } = (value ?? {}) as { name?: unknown; value?: unknown };
  return isArgument(name) && isArgument(text);
}
