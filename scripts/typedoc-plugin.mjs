// What typedoc is told beyond typedoc.json: the table of errors has a page of its own, docs/errors.md, and a kind of route is
// described by the keys that it may have.

import { Comment, Converter, IntrinsicType, ReferenceType, ReflectionKind } from 'typedoc';

/** @param {import('typedoc').Application} app */
export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    const { ERROR_CODES, H3ErrorCode, UsageErrorCode, H3Error } = Object.fromEntries(
      project.getReflectionsByKind(ReflectionKind.SomeExport).map((each) => [each.name, each]),
    );
    for (const property of project.getReflectionsByKind(ReflectionKind.Property)) {
      // `?: never`, which only the compiler has a use for.
      if (property.flags.isOptional && property.type?.toString() === 'undefined') {
        project.removeReflection(property);
      }
    }
    // Its type is hundreds of literals.
    project.removeReflection(ERROR_CODES.type.declaration);
    ERROR_CODES.type = new IntrinsicType('Readonly<Record<H3ErrorCode, ErrorRow>>');
    // The compiler spells out what is named here.
    H3Error.getChildByName('code').type = ReferenceType.createResolvedReference(
      'H3ErrorCode',
      H3ErrorCode,
      project,
    );
    for (const reflection of [ERROR_CODES, H3ErrorCode, UsageErrorCode, H3Error]) {
      reflection.comment ??= new Comment();
      reflection.comment.summary.push({ kind: 'text', text: '\n\n[All codes](../../errors.md#codes).' });
    }
  });
}
