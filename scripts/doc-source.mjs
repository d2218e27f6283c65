// Reads what the sources say of their own public members.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { ROOT, StepError } from './steps.mjs';

/**
 * The documented public members of an interface or class, in the order of the source: `name` and `type` as Markdown, and
 * `doc`, the text of the comment without its examples.
 */
export function membersOf(file, owner) {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const declaration = source.statements.find(
    (statement) =>
      (ts.isInterfaceDeclaration(statement) || ts.isClassDeclaration(statement)) &&
      statement.name?.text === owner,
  );
  if (declaration === undefined) {
    throw new StepError(`${file} declares no ${owner}.`);
  }
  return declaration.members
    .filter(isPublic)
    .map((member) => ({
      name: member.name.getText(),
      type: typeOf(member),
      doc: docOf(member) ?? missing(file, owner, member),
    }))
    .filter(({ doc }) => doc !== '');
}

/** A row of a Markdown table. */
export function row(cells) {
  return `| ${cells.map((cell) => cell.replaceAll(/(?<!\\)\|/g, '\\|')).join(' | ')} |`;
}

function isPublic(member) {
  return (
    member.name !== undefined && !ts.isPrivateIdentifier(member.name) && !ts.isConstructorDeclaration(member)
  );
}

function typeOf(member) {
  if (ts.isMethodSignature(member)) {
    return 'function';
  }
  const type = member.type?.getText().replace(/ \| undefined$/, '') ?? '';
  return type === '' ? '' : `\`${type.replaceAll("'", '"')}\``;
}

/** The comment in one line; links become code, since what they name is not a place in a document. */
function docOf(member) {
  const [comment] = ts.getJSDocCommentsAndTags(member).filter(ts.isJSDoc);
  if (comment === undefined) {
    return undefined;
  }
  const text = ts.getTextOfJSDocComment(comment.comment) ?? '';
  return text
    .replaceAll(/\{@link (\w+)\}/g, '`$1`')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

function missing(file, owner, member) {
  const name = member.name.getText();
  throw new StepError(`${file}: ${owner}.${name} has no comment that says what it is.`);
}
