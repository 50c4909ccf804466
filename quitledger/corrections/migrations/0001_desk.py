from pathlib import Path

import django.db.models.deletion
import quitledger.audit.database
import quitledger.corrections.rules
from django.conf import settings
from django.db import migrations, models

SQL = Path(__file__).with_name("0001_desk.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('cases', '0004_emptied'),
        ('institutions', '0005_lists'),
        ('visits', '0011_merge'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Application',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(unique=True)),
                ('state', models.CharField(choices=[('draft', '草稿'), ('to_sign', '待簽核'), ('new', '待審'), ('in_review', '審核中'), ('waiting', '等機構回覆'), ('second', '待複審'), ('approved', '已核可'), ('in_part', '部分核可'), ('rejected', '已退回'), ('withdrawn', '已撤回')], max_length=12)),
                ('case_no', models.CharField(max_length=12, null=True, unique=True, verbose_name='案件編號')),
                ('on_paper', models.BooleanField(default=False)),
                ('received_on', models.DateField(blank=True, null=True, verbose_name='收件日')),
                ('reason', models.CharField(max_length=1000, verbose_name='原因')),
                ('discovered_on', models.DateField(verbose_name='發現日')),
                ('written_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ('signed_at', models.DateTimeField(null=True)),
                ('single_person', models.BooleanField(default=False)),
                ('sent_at', models.DateTimeField(null=True)),
                ('decided_at', models.DateTimeField(null=True)),
                ('seen_at', models.DateTimeField(null=True)),
                ('version', models.PositiveIntegerField(default=1)),
                ('changed_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ('case', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='cases.case')),
                ('changed_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('claimed_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('confirmed_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('decided_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('institution', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='institutions.institution')),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='cases.person')),
                ('signed_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('written_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [
                    models.Index(fields=['state', 'sent_at'], name='corrections_application_queue'),
                    models.Index(fields=['institution', '-changed_at'], name='corrections_application_own'),
                ],
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('state__in', [quitledger.corrections.rules.State['DRAFT'], quitledger.corrections.rules.State['TO_SIGN'], quitledger.corrections.rules.State['NEW'], quitledger.corrections.rules.State['IN_REVIEW'], quitledger.corrections.rules.State['WAITING'], quitledger.corrections.rules.State['SECOND'], quitledger.corrections.rules.State['APPROVED'], quitledger.corrections.rules.State['IN_PART'], quitledger.corrections.rules.State['REJECTED'], quitledger.corrections.rules.State['WITHDRAWN']])), name='corrections_application_state'),
                    models.CheckConstraint(condition=models.Q(('signed_by', None), ('single_person', True), models.Q(('signed_by', models.F('written_by')), _negated=True), _connector='OR'), name='corrections_application_two_persons'),
                    models.CheckConstraint(condition=models.Q(('state__in', [quitledger.corrections.rules.State['DRAFT'], quitledger.corrections.rules.State['TO_SIGN'], quitledger.corrections.rules.State['WITHDRAWN']]), ('on_paper', True), models.Q(('signed_at__isnull', False), ('signed_by__isnull', False)), _connector='OR'), name='corrections_application_signed'),
                    models.CheckConstraint(condition=models.Q(('state__in', [quitledger.corrections.rules.State['DRAFT'], quitledger.corrections.rules.State['TO_SIGN'], quitledger.corrections.rules.State['WITHDRAWN']]), models.Q(('case_no__isnull', False), ('sent_at__isnull', False)), _connector='OR'), name='corrections_application_sent'),
                    models.CheckConstraint(condition=models.Q(('decided_by', None), models.Q(models.Q(('decided_by', models.F('written_by')), _negated=True), models.Q(('signed_by', None), models.Q(('decided_by', models.F('signed_by')), _negated=True), _connector='OR')), _connector='OR'), name='corrections_application_decided_by_another'),
                    models.CheckConstraint(condition=models.Q(('confirmed_by', None), models.Q(models.Q(('confirmed_by', models.F('written_by')), _negated=True), models.Q(('signed_by', None), models.Q(('confirmed_by', models.F('signed_by')), _negated=True), _connector='OR')), _connector='OR'), name='corrections_application_confirmed_by_another'),
                    models.CheckConstraint(condition=models.Q(('confirmed_by', None), models.Q(('decided_by__isnull', False), models.Q(('confirmed_by', models.F('decided_by')), _negated=True)), _connector='OR'), name='corrections_application_two_deciders'),
                    models.CheckConstraint(condition=models.Q(('single_person', False), models.Q(('state__in', [quitledger.corrections.rules.State['APPROVED'], quitledger.corrections.rules.State['IN_PART']]), _negated=True), ('confirmed_by__isnull', False), _connector='OR'), name='corrections_application_single_person'),
                    models.CheckConstraint(condition=models.Q(models.Q(('state__in', [quitledger.corrections.rules.State['APPROVED'], quitledger.corrections.rules.State['IN_PART'], quitledger.corrections.rules.State['REJECTED']]), _negated=True), models.Q(('decided_at__isnull', False), ('decided_by__isnull', False)), _connector='OR'), name='corrections_application_decided'),
                    models.CheckConstraint(condition=models.Q(('on_paper', False), ('received_on__isnull', False), _connector='OR'), name='corrections_application_paper'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Item',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(unique=True)),
                ('position', models.PositiveSmallIntegerField()),
                ('kind', models.CharField(choices=[('late_entry', '補登'), ('change', '更正內容'), ('void', '刪除'), ('restore', '恢復'), ('parked', '移到真正的就醫日期'), ('overwritten', '還原被覆蓋的紀錄')], max_length=12)),
                ('visit_version', models.PositiveIntegerField(null=True)),
                ('visit_on', models.DateField(verbose_name='就醫日期')),
                ('contents', models.JSONField(null=True)),
                ('linked', models.BooleanField(default=False)),
                ('taken_out', models.BooleanField(default=False)),
                ('decision', models.CharField(blank=True, choices=[('approved', '核可'), ('rejected', '退回')], max_length=10)),
                ('rejected_for', models.CharField(blank=True, choices=[('evidence', '證明文件不足'), ('date', '就醫日期與病歷不符'), ('repeated', '重複申請'), ('rule', '不符合規定'), ('other', '其他')], max_length=20)),
                ('made_version', models.PositiveIntegerField(null=True)),
                ('application', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='items', to='corrections.application')),
                ('institution', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='institutions.institution')),
                ('visit', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='visits.visit')),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(condition=models.Q(('taken_out', False)), fields=('application', 'position'), name='corrections_item_place'),
                    models.UniqueConstraint(condition=models.Q(('taken_out', False), ('visit__isnull', False)), fields=('application', 'visit'), name='corrections_item_visit_once'),
                    models.CheckConstraint(condition=models.Q(('kind__in', [quitledger.corrections.rules.ItemKind['LATE_ENTRY'], quitledger.corrections.rules.ItemKind['CHANGE'], quitledger.corrections.rules.ItemKind['VOID'], quitledger.corrections.rules.ItemKind['RESTORE'], quitledger.corrections.rules.ItemKind['PARKED'], quitledger.corrections.rules.ItemKind['OVERWRITTEN']])), name='corrections_item_kind'),
                    models.CheckConstraint(condition=models.Q(models.Q(('kind', 'late_entry'), ('visit', None), ('visit_version', None)), models.Q(models.Q(('kind', 'late_entry'), _negated=True), ('visit__isnull', False), ('visit_version__gte', 1)), _connector='OR'), name='corrections_item_visit'),
                    models.CheckConstraint(condition=models.Q(models.Q(('contents', None), ('kind__in', ['void', 'restore'])), models.Q(models.Q(('kind__in', ['void', 'restore']), _negated=True), ('contents__isnull', False)), _connector='OR'), name='corrections_item_contents'),
                    models.CheckConstraint(condition=models.Q(models.Q(('decision__in', ['', 'approved']), ('rejected_for', '')), models.Q(('decision', 'rejected'), ('rejected_for__in', [quitledger.corrections.rules.Rejection['EVIDENCE'], quitledger.corrections.rules.Rejection['DATE'], quitledger.corrections.rules.Rejection['REPEATED'], quitledger.corrections.rules.Rejection['RULE'], quitledger.corrections.rules.Rejection['OTHER']])), _connector='OR'), name='corrections_item_decision'),
                ],
            },
        ),
        migrations.CreateModel(
            name='StepTaken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('step', models.CharField(choices=[('write', '開始填寫'), ('rewrite', '修改'), ('submit', '送業務主管簽核'), ('sign', '簽核並送出'), ('hand_back', '退回填寫人'), ('withdraw', '撤回'), ('register', '登記紙本申請'), ('claim', '承辦'), ('release', '放回待審'), ('ask', '詢問機構'), ('answer', '回覆管理窗口'), ('decide', '審核'), ('confirm', '複審同意'), ('refer_back', '複審退回承辦人')], max_length=12)),
                ('from_state', models.CharField(blank=True, choices=[('draft', '草稿'), ('to_sign', '待簽核'), ('new', '待審'), ('in_review', '審核中'), ('waiting', '等機構回覆'), ('second', '待複審'), ('approved', '已核可'), ('in_part', '部分核可'), ('rejected', '已退回'), ('withdrawn', '已撤回')], max_length=12)),
                ('to_state', models.CharField(choices=[('draft', '草稿'), ('to_sign', '待簽核'), ('new', '待審'), ('in_review', '審核中'), ('waiting', '等機構回覆'), ('second', '待複審'), ('approved', '已核可'), ('in_part', '部分核可'), ('rejected', '已退回'), ('withdrawn', '已撤回')], max_length=12)),
                ('from_desk', models.BooleanField()),
                ('at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ('text', models.CharField(blank=True, max_length=1000)),
                ('application', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='steps', to='corrections.application')),
                ('by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('institution', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='institutions.institution')),
            ],
            options={
                'ordering': ['pk'],
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('step__in', [quitledger.corrections.rules.Step['WRITE'], quitledger.corrections.rules.Step['REWRITE'], quitledger.corrections.rules.Step['SUBMIT'], quitledger.corrections.rules.Step['SIGN'], quitledger.corrections.rules.Step['HAND_BACK'], quitledger.corrections.rules.Step['WITHDRAW'], quitledger.corrections.rules.Step['REGISTER'], quitledger.corrections.rules.Step['CLAIM'], quitledger.corrections.rules.Step['RELEASE'], quitledger.corrections.rules.Step['ASK'], quitledger.corrections.rules.Step['ANSWER'], quitledger.corrections.rules.Step['DECIDE'], quitledger.corrections.rules.Step['CONFIRM'], quitledger.corrections.rules.Step['REFER_BACK']])), name='corrections_steptaken_step'),
                    models.CheckConstraint(condition=models.Q(('to_state__in', [quitledger.corrections.rules.State['DRAFT'], quitledger.corrections.rules.State['TO_SIGN'], quitledger.corrections.rules.State['NEW'], quitledger.corrections.rules.State['IN_REVIEW'], quitledger.corrections.rules.State['WAITING'], quitledger.corrections.rules.State['SECOND'], quitledger.corrections.rules.State['APPROVED'], quitledger.corrections.rules.State['IN_PART'], quitledger.corrections.rules.State['REJECTED'], quitledger.corrections.rules.State['WITHDRAWN']])), name='corrections_steptaken_state'),
                ],
            },
        ),
        migrations.RunSQL(SQL),
    ]
